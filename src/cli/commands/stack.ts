// `tunesmith stack`: several adapters in one folder, one on the other. The work is `stackAdapters` of src/export.
import { z } from 'zod'
import { stackAdapters, stackAdaptersSchema } from '../../export/index.ts'
import { defineCommand } from '../command.ts'

export const stack = defineCommand({
  name: 'stack',
  summary: 'Stack adapters of one base, such as a task adapter on a language adapter, into one folder',
  example: 'tunesmith stack runs/german runs/sentiment --out stacked',
  notes: [
    'The lowest adapter comes first. To train an adapter on others: tunesmith finetune --stack runs/german …',
    'Another language below a task adapter: tunesmith stack runs/swahili runs/sentiment --top-only --out swapped',
  ],
  arguments: [{ name: 'adapters', description: 'adapters, lowest first: folders, runs or Hub ids', variadic: true }],
  processes: 'first',
  options: z.strictObject({
    ...stackAdaptersSchema.shape,
    out: z.string().describe('folder for the stack; it must not exist'),
  }),
  run: (options, { adapters }) => stackAdapters({ ...options, adapters }),
  render: ({ out, base, adapters }) => `Stacked ${adapters.join(' under ')} on ${base}: ${out}`,
})
