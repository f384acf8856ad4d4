// `tunesmith embed`: a vector for each text of a file, or for each of its tokens, in a file that other programs read. Knows no architecture.
import { z } from 'zod'
import { isAdapterFolder } from '../../adapters/index.ts'
import { ConfigError, formatCount, formatDuration } from '../../core/index.ts'
import { embedSchema, embedWithRows, identityOf, vectorFormat, vectorSuffixes } from '../../features/index.ts'
import { defineCommand } from '../command.ts'
import { modelFields, openForUse } from '../parts/open-model.ts'
import { readTexts } from '../parts/read-texts.ts'

export const embed = defineCommand({
  name: 'embed',
  summary: 'Write a vector for each text of a file, for search, clustering or any other model',
  example: 'tunesmith embed --model runs/bert --input texts.txt --out vectors.npy',
  notes: [
    'With --pooling tokens each token has a vector; .safetensors says in `starts` which are whose, .jsonl and .parquet hold lists.',
  ],
  options: embedSchema.extend({
    ...modelFields,
    input: z.string().describe('texts: .txt with one a line, or .jsonl; may be compressed; - for lines that come in'),
    out: z.string().describe(`file for the vectors; its end says how: ${vectorSuffixes.join(', ')}`),
    textField: z.string().default('text').describe('the field of a .jsonl file that holds the text'),
    cache: z
      .string()
      .optional()
      .describe('folder that keeps vectors: texts that it has do not go through the model again'),
  }),
  async run({ model, revision, device, input, out, textField, cache: folder, ...settings }, _args, context) {
    const started = performance.now()
    const perToken = settings.pooling === 'tokens'
    const format = vectorFormat(out, { perToken })
    const texts = await readTexts(input, textField, context.warn)
    const ready = await openForUse({ model, revision, device }, context, { head: 'embedding' })
    const progress = context.progress({ label: 'embedding', unit: 'texts', total: texts.length })
    try {
      const { vectors, rows } = await embedWithRows(ready.model, ready.tokenizer, texts, {
        ...settings,
        ...(folder === undefined ? {} : { cache: { folder, identity: await identityFor(ready.folder ?? model) } }),
        signal: context.signal,
        onProgress: (done) => progress.update(done),
        onNote: context.warn,
      })
      const [count, width] = vectors.shape
      await format(out, { texts, vectors, rows: perToken ? rows : undefined })
      return { out, texts: texts.length, vectors: count, width, seconds: (performance.now() - started) / 1000 }
    } finally {
      progress.stop()
    }
  },
  render: ({ out, vectors, width, seconds }) =>
    `${out}: ${formatCount(vectors)} vectors of ${width} numbers, ${formatDuration(seconds * 1000)}`,
})

/** What the model is, for the name of its vectors. */
const identityFor = async (path: string): Promise<string> => {
  if (await isAdapterFolder(path))
    throw new ConfigError(
      `Expected a whole model for \`--cache\`, got the adapter ${path}, whose base may change beside it. Leave the cache out, or merge it.`,
    )
  return identityOf(path)
}
