// Short flags for the columns that nearly every task has: settings of the task under a flag of their own.
import type { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { findTask } from '../../tasks/index.ts'
import { textField } from './fields.ts'

export const taskColumns = {
  textColumn: textField('column with the text; other columns: --settings.NAME'),
  pairColumn: textField('column with the second text, for pairs of texts'),
  labelColumn: textField('column with the label'),
}

const settingOf = { textColumn: 'text', pairColumn: 'pair', labelColumn: 'label' } as const

interface Columned {
  task: string
  settings?: object | undefined
  textColumn?: string | undefined
  pairColumn?: string | undefined
  labelColumn?: string | undefined
}

/** Options with the columns of the short flags in the task's settings. @throws ConfigError for a column that the task does not have */
export const withColumns = <Options extends Columned>({
  textColumn,
  pairColumn,
  labelColumn,
  ...options
}: Options): Omit<Options, keyof typeof taskColumns> & { settings: object } => {
  const columns = { textColumn, pairColumn, labelColumn }
  const given = (Object.keys(settingOf) as (keyof typeof settingOf)[]).filter((flag) => columns[flag] !== undefined)
  const { task } = options
  const known = Object.keys((findTask(task).config as z.ZodObject).shape)
  for (const flag of given)
    if (!known.includes(settingOf[flag]))
      throw new ConfigError(
        `Expected no \`${flag}\` for the task ${task}, whose settings are ${known.join(', ')}. Use \`--settings.NAME\`.`,
      )
  const named = Object.fromEntries(given.map((flag) => [settingOf[flag], columns[flag]]))
  return { ...options, settings: { ...options.settings, ...named } }
}
