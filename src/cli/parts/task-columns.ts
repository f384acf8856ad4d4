// Short flags for the columns that nearly every task has: settings of the task under a flag of their own.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { findTask } from '../../tasks/index.ts'

export const taskColumns = {
  textColumn: z.string().optional().describe('column with the text; other columns: --settings.NAME'),
  pairColumn: z.string().optional().describe('column with the second text, for pairs of texts'),
  labelColumn: z.string().optional().describe('column with the label'),
}

const settingOf = { textColumn: 'text', pairColumn: 'pair', labelColumn: 'label' } as const

/** The task's settings with the columns of the short flags. @throws ConfigError for a column that the task does not have */
export const withColumns = (
  task: string,
  columns: { [Flag in keyof typeof taskColumns]?: string },
  settings: object = {},
): object => {
  const given = (Object.keys(settingOf) as (keyof typeof settingOf)[]).filter((flag) => columns[flag] !== undefined)
  const known = Object.keys((findTask(task).config as z.ZodObject).shape)
  for (const flag of given)
    if (!known.includes(settingOf[flag]))
      throw new ConfigError(
        `Expected no \`${flag}\` for the task ${task}, whose settings are ${known.join(', ')}. Use \`--settings.NAME\`.`,
      )
  return { ...settings, ...Object.fromEntries(given.map((flag) => [settingOf[flag], columns[flag]])) }
}
