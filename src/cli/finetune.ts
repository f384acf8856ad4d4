// `tunesmith finetune`: a recipe as flags, a specialist in the end. Knows no task and no variant.
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import { type FinetuneInput, finetuneSchema, finetune as startRun } from '../runs/index.ts'
import { tasks } from '../tasks/index.ts'
import { defineCommand } from './command.ts'
import { displayRun, renderRun } from './run-display.ts'

const columns = {
  text: z
    .string()
    .optional()
    .describe("column with the text; the task's own settings have all others: --settings.NAME"),
  pair: z.string().optional().describe('column with a second text'),
  label: z.string().optional().describe('column with the label'),
}

export const finetune = defineCommand({
  name: 'finetune',
  summary: 'Make a specialist of a base, by whichever variant; a first Ctrl-C saves and stops, `resume` goes on',
  example:
    'tunesmith finetune --base runs/bert --task sequence-classification --data reviews.jsonl --text review --label stars --variant lora --adapter.rank 8 --out runs/stars',
  options: finetuneSchema.extend(columns),
  async run(options, _args, context) {
    const { text, pair, label, ...recipe } = options
    const given = Object.entries({ text, pair, label }).filter(([, value]) => value !== undefined)
    const known = Object.keys((tasks[recipe.task].config as unknown as z.ZodObject).shape)
    for (const [name] of given)
      if (!known.includes(name))
        throw new ConfigError(
          `Expected no \`${name}\` for the task ${recipe.task}, whose settings are ${known.join(', ')}. Use --settings.NAME.`,
        )
    const settings = { ...recipe.settings, ...Object.fromEntries(given) }
    const display = displayRun(context, { label: 'fine-tuning', ...recipe })
    try {
      return await startRun({ ...recipe, settings } as FinetuneInput, display)
    } finally {
      display.stop()
    }
  },
  render: renderRun,
})
