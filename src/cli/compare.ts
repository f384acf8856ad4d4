// `tunesmith compare`: variants and bases side by side.
import Table from 'cli-table3'
import { z } from 'zod'
import { formatBytes, formatCount, formatDuration } from '../core/index.ts'
import { type ComparedRun, compareRuns } from '../runs/index.ts'
import { defineCommand } from './command.ts'

const header = ['run', 'variant', 'score', 'trained', 'time', 'memory', 'file', 'tokens/s']

const cells = (row: ComparedRun): string[] => [
  row.run,
  row.fresh ? `${row.variant}, from random` : row.variant,
  `${row.metric} ${row.value.toFixed(4)} [${row.low.toFixed(4)}, ${row.high.toFixed(4)}]`,
  formatCount(row.trainedParameters),
  formatDuration(row.seconds * 1000),
  formatBytes(row.peakBytes),
  formatBytes(row.fileBytes),
  formatCount(Math.round(row.tokensPerSecond)),
]

const markdown = (rows: readonly string[][]): string =>
  [header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')

export const compare = defineCommand({
  name: 'compare',
  summary: 'Set fine-tuned runs side by side: scores with intervals, trained parameters, time, memory and size',
  example: 'tunesmith compare runs/full runs/lora',
  arguments: [{ name: 'runs', description: 'folders of finished fine-tuning runs', variadic: true }],
  options: z.strictObject({ markdown: z.boolean().default(false).describe('a Markdown table') }),
  run: async (options, { runs }) => ({ markdown: options.markdown, runs: await compareRuns(runs) }),
  render: (result) => {
    const rows = result.runs.map(cells)
    if (result.markdown) return markdown(rows)
    const table = new Table({ head: header, style: { head: [], border: [] } })
    table.push(...rows)
    return table.toString()
  },
})
