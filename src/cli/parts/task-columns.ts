// Short flags for the columns that nearly every task has, and their place among the task's own settings. Knows no task.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { type TaskType, tasks } from '../../tasks/index.ts'

export const taskColumns = {
  text: z
    .string()
    .optional()
    .describe("column with the text; the task's own settings have all others: --settings.NAME"),
  pair: z.string().optional().describe('column with a second text'),
  label: z.string().optional().describe('column with the label'),
}

/** The settings with the columns among them. @throws ConfigError for a column that the task does not have */
export const withColumns = (
  task: TaskType,
  columns: { [Name in keyof typeof taskColumns]?: string },
  settings: object = {},
): object => {
  const given = Object.entries(columns).filter(([, value]) => value !== undefined)
  const known = Object.keys((tasks[task].config as unknown as z.ZodObject).shape)
  for (const [name] of given)
    if (!known.includes(name))
      throw new ConfigError(
        `Expected no \`${name}\` for the task ${task}, whose settings are ${known.join(', ')}. Use --settings.NAME.`,
      )
  return { ...settings, ...Object.fromEntries(given) }
}
