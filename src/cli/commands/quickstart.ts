// `tunesmith quickstart`: the whole story on bundled real text, stage after stage, by the same commands that users run.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { formatBytes, formatCount, formatDuration, parseConfig, SetupError } from '../../core/index.ts'
import { loadTokenizer } from '../../tokenizers/index.ts'
import { type CommandContext, defineCommand } from '../command.ts'
import { pretrainQuickly } from '../quickstart/pretraining.ts'
import { makeSpecialists, renderSpecialists } from '../quickstart/specialists.ts'
import { corpusBuild } from './corpus-build.ts'
import { tokenizerEncode } from './tokenizer-encode.ts'
import { tokenizerTrain } from './tokenizer-train.ts'

const bundledText = (): string => {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const data = join(folder, 'quickstart', 'data')
    if (existsSync(data)) return data
  }
  throw new SetupError('Expected the bundled text in quickstart/data, found none. Install the package again.')
}

/**
 * Books and an encyclopedia, and what two of the specialists will learn from, without its labels: old books know few words of film
 * reviews and of medicine. Phrases are short and alike, so what drops such documents is for the others.
 */
const corpusOf = (data: string) => ({
  source: [
    `wikipedia:${join(data, '*.xml*.bz2')}`,
    `books:${join(data, 'books')}`,
    `csv,textField=sentence:${join(data, 'sst2/train.tsv.gz')}`,
    `jsonl:${join(data, 'medquad/train.jsonl.gz')}`,
  ],
  filter: ['length@wikipedia+books', 'language@wikipedia+books:languages='],
  dedup: ['exact'],
})

const sample = 'The unexpected journey began in the railway station, where nobody spoke.'

export const quickstart = defineCommand({
  name: 'quickstart',
  summary:
    'Turn bundled books, Wikipedia pages and texts into a corpus, a tokenizer, shards, a small BERT, and specialists that are compared',
  example: 'tunesmith quickstart --out quickstart-run',
  options: z.strictObject({
    out: z
      .string()
      .default('runs/quickstart')
      .describe('Folder for everything it makes; run again, it goes on from there'),
    minutes: z
      .number()
      .positive()
      .max(600)
      .default(4)
      .describe('Most time for pretraining, and the number of its steps'),
    specialistSteps: z.int().positive().optional().describe('Steps of each specialist, in place of those planned'),
    vocabSize: z.int().min(512).max(65536).default(4096).describe('Entries of the vocabulary'),
  }),
  run: async ({ out, vocabSize, minutes, specialistSteps }, _args, context: CommandContext) => {
    const started = performance.now()
    const data = bundledText()
    const [corpus, tokenizer, shards] = ['corpus', 'tokenizer', 'shards'].map((name) => join(out, name))
    context.log('1/6  Raw text to corpus: extract, filter, remove duplicates')
    const built = await corpusBuild.run(
      parseConfig(corpusBuild.options, { out: corpus, ...corpusOf(data) }, 'corpus build'),
      {},
      context,
    )
    context.log('2/6  Corpus to tokenizer: learn a WordPiece vocabulary')
    const wishes = { type: 'wordpiece', vocabSize, corpus: [corpus], out: tokenizer }
    const trained = await tokenizerTrain.run(
      parseConfig(tokenizerTrain.options, wishes, 'tokenizer train'),
      { files: [] },
      context,
    )
    context.log('3/6  Corpus to shards: token ids, split into training and validation by document')
    // A tenth, so that some of the few books are held out.
    const encoding = { tokenizer, corpus: [corpus], out: shards, validation: 0.1 }
    const encoded = await tokenizerEncode.run(
      parseConfig(tokenizerEncode.options, encoding, 'tokenizer encode'),
      { files: [] },
      context,
    )
    const loaded = await loadTokenizer(tokenizer)
    context.log(`4/6  Shards to model: a small BERT fills in masked words, for at most ${minutes} minutes`)
    const pretrained = await pretrainQuickly({ shards, tokenizer, out: join(out, 'bert'), minutes }, context)
    context.log('5/6  Model to specialists: three tasks, each by several variants, and once from random weights')
    const specialists = await makeSpecialists(
      { base: join(out, 'bert'), data, out: join(out, 'specialists'), steps: specialistSteps },
      context,
    )
    context.log('6/6  Generalist against specialists, with against without pretraining')
    const pieces = [...loaded.encode(sample).ids].map((id) => loaded.idToToken(id) ?? '?')
    return {
      out,
      corpus: built,
      tokenizer: trained,
      shards: encoded,
      pieces,
      pretrained,
      specialists,
      seconds: (performance.now() - started) / 1000,
    }
  },
  render: ({ out, corpus, tokenizer, shards, pieces, pretrained, specialists, seconds }) => {
    const { train, validation } = shards
    const { before, after, model, steps, tokens } = pretrained
    const percent = (value: number) => `${(100 * value).toFixed(1)} %`
    return [
      corpusBuild.render?.(corpus) ?? '',
      '',
      `Tokenizer  ${formatCount(tokenizer.vocabSize)} pieces from ${formatCount(tokenizer.distinctWords)} distinct words`,
      `  "${sample}"`,
      `  ${pieces.join(' ')}`,
      `Shards     ${formatCount(train.tokens)} tokens of ${train.documents} documents to train on (${formatBytes(train.bytes)}), ${formatCount(validation.tokens)} of ${validation.documents} held out`,
      '',
      pretrained.curve,
      '',
      `Model      BERT, ${steps} steps, ${formatCount(tokens)} tokens in ${formatDuration(pretrained.seconds * 1000)}`,
      `  on held-out text   before     after`,
      `  perplexity       ${before.perplexity.toFixed(0).padStart(8)}  ${after.perplexity.toFixed(0).padStart(8)}`,
      `  masked accuracy  ${percent(before.accuracy).padStart(8)}  ${percent(after.accuracy).padStart(8)}`,
      '  (before: it is told how common each piece is, and knows nothing of their order)',
      ...pretrained.examples.map(
        ({ text, masks }) =>
          `  ${text}  ${masks[0].map(({ token, probability }) => `${token} ${percent(probability)}`).join(', ')}`,
      ),
      '',
      renderSpecialists(specialists),
      `All in ${out}, in ${formatDuration(seconds * 1000)}. The model opens in transformers:`,
      `  AutoModelForMaskedLM.from_pretrained("${model}")`,
      'Next:',
      `  tunesmith predict --model ${join(out, 'specialists/sentiment/lora')} --text "A film to see twice."`,
      `  tunesmith evaluate --model ${join(out, 'specialists/medical/full')} --task sequence-classification --data ${join(bundledText(), 'medquad/dev.jsonl.gz')} --settings.label topic`,
      `  tunesmith finetune --base ${join(out, 'bert')} --task sequence-classification --data YOURS.csv --text-column COLUMN --label-column COLUMN --variant lora --out ${join(out, 'mine')}`,
      `  tunesmith corpus inspect ${join(out, 'corpus')}`,
      `Pages: ${[join(out, 'bert', 'report.html'), ...specialists.map(({ page }) => page)].join(', ')}`,
    ].join('\n')
  },
})
