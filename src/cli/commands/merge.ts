// `tunesmith merge`: several whole models become one. The work is `mergeModels` of src/export.
import { z } from 'zod'
import { formatCount } from '../../core/index.ts'
import { mergeMethods, mergeModels, mergeSchema } from '../../export/index.ts'
import { defineCommand } from '../command.ts'

export const merge = defineCommand({
  name: 'merge',
  summary: 'Merge whole models of one architecture: linear, SLERP, task arithmetic, TIES, DARE',
  example: 'tunesmith merge runs/a runs/b --method ties --base runs/base --density 0.2 --out merged',
  notes: ['Methods:', ...mergeMethods.map(({ type, description }) => `  ${type.padEnd(16)} ${description}`)],
  arguments: [{ name: 'models', description: 'whole models: folders, runs or Hub ids', variadic: true }],
  processes: 'first',
  options: z.strictObject({
    ...mergeSchema.shape,
    out: z.string().describe('folder for the merged model; it must not exist'),
  }),
  run: (options, { models }, { signal, log }) => mergeModels({ ...options, models }, { signal, onProgress: log }),
  render: ({ out, method, models, parameters }) =>
    `Merged ${models.length} models with ${formatCount(parameters)} parameters by ${method}: ${out}`,
})
