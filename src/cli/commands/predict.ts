// `tunesmith predict`: a model's answer to texts, by what its head predicts. Knows no head.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { headTypes } from '../../models/index.ts'
import { defineCommand } from '../command.ts'
import { withFields } from '../flags.ts'
import { modelFields, openForUse } from '../parts/open-model.ts'
import { readTexts } from '../parts/read-texts.ts'
import { predictions } from '../predictions/index.ts'

const shapes: Record<string, z.ZodType> = Object.assign(
  {},
  ...Object.values(predictions).map(({ options }) => options.shape),
)

export const predict = defineCommand({
  name: 'predict',
  summary: 'Ask a model for its answer to texts: words behind masks, classes, numbers, entities',
  example: 'tunesmith predict --model runs/bert --text "The ship sailed across the [MASK]."',
  options: withFields(
    z.strictObject({
      ...modelFields,
      head: z.enum(headTypes).optional().describe("what the model predicts; its files' own unless given"),
      text: z.array(z.string()).default([]).describe('a text').meta({ commas: false }),
      input: z
        .string()
        .optional()
        .describe('a file of texts: .txt with one a line, or .jsonl; - for lines that come in'),
      textField: z.string().default('text').describe('the field of a .jsonl file that holds the text'),
    }),
    shapes,
  ),
  async run(options, _args, context) {
    const { head, text, input, textField, model, revision, device, ...rest } = options
    const texts = input === undefined ? text : [...text, ...(await readTexts(input, textField, context.warn))]
    if (texts.length === 0) throw new ConfigError('Expected --text or --input for `predict`, got neither.')
    const ready = await openForUse({ model, revision, device }, context, { head })
    const { headType } = ready.model
    const entry = predictions[headType]
    if (entry === undefined)
      throw new ConfigError(
        `Expected a model with a head of ${Object.keys(predictions).join(', ')} for \`predict\`, got ${headType}. For text that goes on, use \`generate\`; for vectors, \`embed\`.`,
      )
    const own: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(rest)) {
      if (name in entry.options.shape) own[name] = value
      else if (JSON.stringify(value) !== JSON.stringify(shapes[name].safeParse(undefined).data))
        throw new ConfigError(
          `Expected no \`${name}\` for a model with the head ${headType}, got one. It would have no effect; remove it.`,
        )
    }
    const progress = context.progress({
      label: 'predicting',
      unit: 'texts',
      total: texts.length,
      enabled: texts.length > 1,
    })
    const results: unknown[] = []
    try {
      for (const one of texts) {
        await new Promise((resolve) => setImmediate(resolve))
        context.signal.throwIfAborted()
        results.push(await entry.predict(ready, one, own))
        progress.update(results.length)
      }
    } finally {
      progress.stop()
    }
    return { model, head: headType, predictions: results }
  },
  render: ({ head, predictions: results }) =>
    results.map((result) => predictions[head]?.render(result) ?? '').join('\n'),
})
