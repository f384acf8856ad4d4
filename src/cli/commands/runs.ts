// `tunesmith runs`: the runs of a folder in a table.
import { z } from 'zod'
import { listRuns, renderRuns } from '../../tracking/index.ts'
import { defineCommand } from '../command.ts'

export const runs = defineCommand({
  name: 'runs',
  summary: 'List the runs in a folder: how far they are, how they end, their losses and best evaluations',
  example: 'tunesmith runs runs',
  arguments: [{ name: 'folder', description: 'a folder of runs, or one run; `runs` unless given', optional: true }],
  options: z.strictObject({}),
  run: (_options, { folder }) => listRuns(folder ?? 'runs'),
  render: (list) => renderRuns(list),
})
