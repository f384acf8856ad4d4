// `tunesmith evaluate`: hands a model and data to a task of the registry. Knows no task.
import { z } from 'zod'
import { resolveModel } from '../../checkpoint/index.ts'
import { ConfigError } from '../../core/index.ts'
import { fineTunedTask } from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { evaluations } from '../evaluations/index.ts'
import { withFields } from '../flags.ts'
import { modelFields } from '../parts/open-model.ts'

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
      task: z.enum(types).optional().describe('what to measure; what a specialist was taught unless given'),
      data: z
        .array(z.string())
        .default([])
        .describe('token shards, corpora, or text files, folders and globs')
        .meta({ commas: false }),
    }),
    shapes,
  ),
  async run(options, _args, context) {
    const { model, revision, device, data, ...others } = options
    const onProgress = (file: string) => context.log(`downloading ${file}`)
    const taught = await fineTunedTask(model, await resolveModel(model, { revision, onProgress }))
    const { task = taught?.task, ...rest } = others
    if (task === undefined || !Object.hasOwn(evaluations, task))
      throw new ConfigError(
        `Expected a task of ${types.join(', ')} for \`--task\`, got ${task ?? 'none, and the model does not say what it was taught'}. Say what to measure.`,
      )
    const entry = evaluations[task]
    const own: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(rest)) {
      if (name in entry.options.shape) own[name] = value
      else if (JSON.stringify(value) !== JSON.stringify(shapes[name].safeParse(undefined).data))
        throw new ConfigError(
          `Expected no \`${name}\` for the task ${task}, got one. It would have no effect; remove it.`,
        )
    }
    const known = taught?.task === task ? { taught } : {}
    const result = await entry.run({ model, revision, device, data, ...known }, own as never, context)
    return { task, model, ...(result as object) }
  },
  render: (result) => evaluations[result.task].render(result),
})
