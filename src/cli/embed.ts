// `tunesmith embed`: a vector for each text of a file, in a file that other programs read. Knows no architecture.
import { z } from 'zod'
import { formatCount, formatDuration } from '../core/index.ts'
import { headOptionsSchema } from '../models/index.ts'
import { embedSchema, embedTexts } from '../tasks/index.ts'
import { defineCommand } from './command.ts'
import { modelFields, openForUse } from './open-model.ts'
import { readTexts } from './read-texts.ts'
import { vectorFormat, vectorSuffixes } from './vector-files.ts'

export const embed = defineCommand({
  name: 'embed',
  summary: 'Write a vector for each text of a file, for search, clustering or any other model',
  example: 'tunesmith embed --model runs/bert --input texts.txt --out vectors.npy',
  options: embedSchema.extend({
    ...modelFields,
    input: z.string().describe('texts: .txt with one a line, or .jsonl; may be compressed'),
    out: z.string().describe(`file for the vectors; its end says how: ${vectorSuffixes.join(', ')}`),
    textField: z.string().default('text').describe('the field of a .jsonl file that holds the text'),
    pooling: headOptionsSchema.shape.pooling.describe(
      'which vector stands for a text; what the files say, else the mean',
    ),
    normalize: z.boolean().optional().describe('vectors of length one; what the files say unless given'),
  }),
  async run({ model, revision, device, input, out, textField, pooling, normalize, ...settings }, _args, context) {
    const started = performance.now()
    const format = vectorFormat(out)
    const texts = await readTexts(input, textField)
    const headOptions = {
      ...(pooling === undefined ? {} : { pooling }),
      ...(normalize === undefined ? {} : { normalize }),
    }
    const ready = await openForUse({ model, revision, device }, context, { head: 'embedding', headOptions })
    const progress = context.progress({ label: 'embedding', unit: 'texts', total: texts.length })
    try {
      const vectors = await embedTexts(ready.model, ready.tokenizer, texts, {
        ...settings,
        signal: context.signal,
        onProgress: (done) => progress.update(done),
      })
      const [, width] = vectors.shape
      await format(out, texts, vectors)
      return { out, texts: texts.length, width, seconds: (performance.now() - started) / 1000 }
    } finally {
      progress.stop()
    }
  },
  render: ({ out, texts, width, seconds }) =>
    `${out}: ${formatCount(texts)} vectors of ${width} numbers, ${formatDuration(seconds * 1000)}`,
})
