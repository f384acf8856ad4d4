// `tunesmith evaluate`: hands a model and data to a task of the registry. Knows no task.
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import { defineCommand } from './command.ts'
import { evaluations } from './evaluations/index.ts'
import { withFields } from './flags.ts'
import { modelFields } from './open-model.ts'

const types = Object.keys(evaluations) as [string, ...string[]]
const shapes: Record<string, z.ZodType> = Object.assign(
  {},
  ...Object.values(evaluations).map(({ options }) => options.shape),
)

export const evaluate = defineCommand({
  name: 'evaluate',
  summary: 'Measure a model on data, with confidence intervals',
  example: 'tunesmith evaluate --model runs/bert --task language-modelling --data shards',
  options: withFields(
    z.strictObject({
      ...modelFields,
      task: z.enum(types).describe('what to measure'),
      data: z
        .array(z.string())
        .default([])
        .describe('token shards, corpora, or text files, folders and globs')
        .meta({ commas: false }),
    }),
    shapes,
  ),
  async run(options, _args, context) {
    const { model, revision, device, task, data, ...rest } = options
    const entry = evaluations[task]
    const own: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(rest)) {
      if (name in entry.options.shape) own[name] = value
      else if (JSON.stringify(value) !== JSON.stringify(shapes[name].safeParse(undefined).data))
        throw new ConfigError(
          `Expected no \`${name}\` for the task ${task}, got one. It would have no effect; remove it.`,
        )
    }
    const result = await entry.run({ model, revision, device, data }, own as never, context)
    return { task, model, ...(result as object) }
  },
  render: (result) => evaluations[result.task].render(result),
})
