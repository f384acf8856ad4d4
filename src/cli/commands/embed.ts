// `tunesmith embed`: a vector for each text of a file, or for each of its tokens, in a file that other programs read.
import { z } from 'zod'
import { isAdapterFolder } from '../../adapters/index.ts'
import { ConfigError, expectWritable, formatCount, formatDuration } from '../../core/index.ts'
import { onFirst } from '../../distributed/index.ts'
import { embedSchema, embedWithRows, modelFilesHash, vectorFormat, vectorSuffixes } from '../../features/index.ts'
import { loadForInference } from '../../inference/index.ts'
import { defineCommand } from '../command.ts'
import { textField } from '../parts/fields.ts'
import { loadHooks, modelFields } from '../parts/model-flags.ts'
import { expectSameModel, readSharedTexts } from '../parts/read-texts.ts'

export const embed = defineCommand({
  name: 'embed',
  summary: 'Write a vector for each text of a file, for search, clustering or any other model',
  example: 'tunesmith embed --model runs/bert --input texts.txt --out vectors.npy',
  notes: [
    'With --pooling tokens every token gets a vector: .safetensors has the first row of each text in `starts`, .jsonl and .parquet hold one list per text.',
  ],
  processes: 'divided',
  options: embedSchema.extend({
    ...modelFields,
    input: z
      .string()
      .describe(
        'file of texts: .txt with one per line, or .jsonl, .json, .csv, .tsv or .parquet with a column of texts; may be compressed; - reads lines from standard input',
      ),
    out: z.string().describe(`file for the vectors; its suffix chooses the format: ${vectorSuffixes.join(', ')}`),
    textColumn: z.string().default('text').describe('column with the text, in files with columns'),
    cache: textField('folder that caches vectors, so that known texts are not computed again'),
  }),
  async run(
    { use: _, model, revision, device, weights, input, out, textColumn, cache: folder, ...settings },
    _args,
    context,
  ) {
    const started = performance.now()
    const perToken = settings.pooling === 'tokens'
    const format = vectorFormat(out, { perToken })
    await onFirst(context.group, () => expectWritable(out, 'out'))
    const texts = await readSharedTexts(input, textColumn, context)
    const loaded = await loadForInference(
      { model, revision, device, weights },
      { head: 'embedding', ...loadHooks(context) },
    )
    const { group } = context
    await expectSameModel(context, loaded.folder)
    const progress = context.progress({ label: 'Embedding', unit: 'texts', total: texts.length })
    try {
      const { vectors, rows } = await embedWithRows(loaded.model, loaded.tokenizer, texts, {
        ...settings,
        ...(folder === undefined ? {} : { cache: { folder, identity: await identityFor(loaded.folder ?? model) } }),
        group,
        signal: context.signal,
        onProgress: (done) => progress.update(done),
        onNote: context.warn,
      })
      const [count, width] = vectors.shape
      if (group?.first !== false) await format(out, { texts, vectors, rows: perToken ? rows : undefined })
      return { out, texts: texts.length, vectors: count, width, seconds: (performance.now() - started) / 1000 }
    } finally {
      progress.stop()
    }
  },
  render: ({ out, vectors, width, seconds }) =>
    `${out}: ${formatCount(vectors)} vectors of ${width} numbers, ${formatDuration(seconds * 1000)}`,
})

/** Identifies the model in the cache of vectors. */
const identityFor = async (path: string): Promise<string> => {
  if (await isAdapterFolder(path))
    throw new ConfigError(
      `Expected a whole model with \`--cache\`, got the adapter ${path}, whose base may change separately. Leave out the cache, or merge the adapter.`,
    )
  return modelFilesHash(path)
}
