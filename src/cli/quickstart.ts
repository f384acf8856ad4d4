// `tunesmith quickstart`: the story so far on bundled real text, stage after stage, by the same commands that users run.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { formatBytes, formatCount, formatDuration, parseConfig, SetupError } from '../core/index.ts'
import { loadTokenizer } from '../tokenizers/index.ts'
import { type CommandContext, defineCommand } from './command.ts'
import { corpusBuild } from './corpus-build.ts'
import { pretrainQuickly } from './quickstart-pretraining.ts'
import { tokenizerEncode } from './tokenizer-encode.ts'
import { tokenizerTrain } from './tokenizer-train.ts'

const bundledText = (): string => {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const data = join(folder, 'quickstart', 'data')
    if (existsSync(data)) return data
  }
  throw new SetupError('Expected the bundled text in quickstart/data, found none. Install the package again.')
}

const sample = 'The unexpected journey began in the railway station, where nobody spoke.'

export const quickstart = defineCommand({
  name: 'quickstart',
  summary:
    'Turn bundled books and Wikipedia pages into a corpus, a tokenizer, shards, and a small BERT that learns from them',
  example: 'tunesmith quickstart --out quickstart-run',
  options: z.strictObject({
    out: z
      .string()
      .default('runs/quickstart')
      .describe('Folder for everything it makes; run again, it goes on from there'),
    minutes: z.number().positive().max(600).default(5).describe('Time for pretraining'),
    vocabSize: z.int().min(512).max(65536).default(8192).describe('Entries of the vocabulary'),
  }),
  run: async ({ out, vocabSize, minutes }, _args, context: CommandContext) => {
    const started = performance.now()
    const data = bundledText()
    const [corpus, tokenizer, shards] = ['corpus', 'tokenizer', 'shards'].map((name) => join(out, name))
    context.log('1/4  Raw text to corpus: extract, filter, remove duplicates')
    const source = [`wikipedia:${join(data, '*.xml*.bz2')}`, `books:${join(data, 'books')}`]
    const built = await corpusBuild.run(
      parseConfig(corpusBuild.options, { out: corpus, source }, 'corpus build'),
      {},
      context,
    )
    context.log('2/4  Corpus to tokenizer: learn a WordPiece vocabulary')
    const wishes = { type: 'wordpiece', vocabSize, corpus: [corpus], out: tokenizer }
    const trained = await tokenizerTrain.run(
      parseConfig(tokenizerTrain.options, wishes, 'tokenizer train'),
      { files: [] },
      context,
    )
    context.log('3/4  Corpus to shards: token ids, split into training and validation by document')
    // A tenth of so few documents, so that there are some to hold out.
    const encoding = { tokenizer, corpus: [corpus], out: shards, validation: 0.1 }
    const encoded = await tokenizerEncode.run(
      parseConfig(tokenizerEncode.options, encoding, 'tokenizer encode'),
      { files: [] },
      context,
    )
    const loaded = await loadTokenizer(tokenizer)
    context.log(`4/4  Shards to model: a small BERT fills in masked words, for ${minutes} minutes`)
    const pretrained = await pretrainQuickly({ shards, tokenizer, out: join(out, 'bert'), minutes }, context)
    const pieces = [...loaded.encode(sample).ids].map((id) => loaded.idToToken(id) ?? '?')
    return {
      out,
      corpus: built,
      tokenizer: trained,
      shards: encoded,
      pieces,
      pretrained,
      seconds: (performance.now() - started) / 1000,
    }
  },
  render: ({ out, corpus, tokenizer, shards, pieces, pretrained, seconds }) => {
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
      ...pretrained.examples.map(
        ({ text, masks }) =>
          `  ${text}  ${masks[0].map(({ token, probability }) => `${token} ${percent(probability)}`).join(', ')}`,
      ),
      '',
      `All in ${out}, in ${formatDuration(seconds * 1000)}. The model opens in transformers:`,
      `  AutoModelForMaskedLM.from_pretrained("${model}")`,
      `Try it:       tunesmith predict --model ${join(out, 'bert')} --text "The old man sat by the [MASK]."`,
      `Look closer:  tunesmith corpus inspect ${join(out, 'corpus')}; open ${join(out, 'bert', 'report.html')}`,
    ].join('\n')
  },
})
