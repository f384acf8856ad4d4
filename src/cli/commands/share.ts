// `tunesmith share`: a run or a comparison as one HTML file. The work is `shareRuns` of src/serving.
import { z } from 'zod'
import { formatBytes } from '../../core/index.ts'
import { shareRuns } from '../../serving/index.ts'
import { defineCommand } from '../command.ts'

export const share = defineCommand({
  name: 'share',
  summary: 'Write a run, or a comparison of runs, as one HTML file that needs no server',
  example: 'tunesmith share runs/full runs/lora --out comparison.html',
  notes: [
    'One run is its page of the studio; several runs are compared, and each has its page too.',
    'Folders of this machine and settings that look like secrets are left out. Texts of the data are not searched for them.',
  ],
  arguments: [{ name: 'runs', description: 'runs, or folders of runs: at most 32 in all', variadic: true }],
  engine: false,
  processes: 'first',
  options: z.strictObject({
    out: z.string().describe('the HTML file; it must not exist'),
  }),
  run: ({ out }, { runs }) => shareRuns(runs, out),
  render: ({ path, runs, bytes }) =>
    `Wrote ${runs.length === 1 ? runs[0] : `a comparison of ${runs.length} runs`} to ${path} (${formatBytes(bytes)}).`,
})
