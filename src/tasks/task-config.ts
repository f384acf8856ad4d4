// Settings of tasks as users give them: those of a known data set with others on top, and one schema for the settings of any task.
import { z } from 'zod'
import { ConfigError, didYouMean, parseConfig, unwrap, withoutUndefined } from '../core/index.ts'
import type { TaskDefinition } from './task.ts'

/**
 * The checked settings of a task: those of the model's fine-tuning, then those of a known data set, then the given ones, each
 * overriding the ones before.
 * @throws ConfigError for an unknown data set or wrong settings
 */
export const taskConfig = <Config extends object>(
  task: Pick<TaskDefinition<Config>, 'type' | 'config' | 'datasets'>,
  given: { [setting: string]: unknown } = {},
  dataset?: string,
  fineTuned: object = {},
): Config => {
  const known = Object.keys(task.datasets)
  if (dataset !== undefined && !known.includes(dataset))
    throw new ConfigError(
      `Expected a known data set of ${task.type} for \`dataset\` (${known.join(', ') || 'there is none'}), got "${dataset}".${didYouMean(dataset, known)}`,
    )
  const settings = dataset === undefined ? {} : task.datasets[dataset].settings
  return parseConfig(task.config, { ...fineTuned, ...settings, ...withoutUndefined(given) }, task.type)
}

/** The fields of all tasks' settings, optional and without defaults; a name that several tasks have accepts what any of them does. */
export const taskSettingFields = (tasks: readonly { config: unknown }[]): Record<string, z.ZodType> => {
  const fields = new Map<string, { schemas: z.ZodType[]; meta: z.GlobalMeta | undefined }>()
  for (const { config } of tasks)
    for (const [name, field] of Object.entries((config as z.ZodObject).shape as { [name: string]: z.ZodType })) {
      const known = fields.get(name) ?? { schemas: [], meta: field.meta() }
      known.schemas.push(unwrap(field))
      fields.set(name, known)
    }
  return Object.fromEntries(
    [...fields].map(([name, { schemas, meta }]): [string, z.ZodType] => [
      name,
      (schemas.length === 1 ? schemas[0] : z.union(schemas)).optional().meta({ ...meta }),
    ]),
  )
}
