// `tunesmith runs`: the runs of a folder in a table.
import { z } from 'zod'
import { listRuns, renderRuns } from '../../tracking/index.ts'
import { defineCommand } from '../command.ts'
import { renderTable } from '../parts/table.ts'

export const runs = defineCommand({
  name: 'runs',
  summary: 'List the runs in a folder: progress, status, loss and best evaluation',
  example: 'tunesmith runs runs',
  arguments: [{ name: 'folder', description: 'folder of runs, or one run (default: runs)', optional: true }],
  processes: 'first',
  options: z.strictObject({}),
  run: (_options, { folder }) => listRuns(folder ?? 'runs'),
  render: (list) => renderRuns(list, renderTable),
})
