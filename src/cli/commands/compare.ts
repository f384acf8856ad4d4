// `tunesmith compare`: fine-tuned runs side by side, as a table, as Markdown or as a page.
import { z } from 'zod'
import { writeFileAtomic } from '../../core/index.ts'
import {
  type ComparedSample,
  type Comparison,
  compareRuns,
  comparisonTables,
  renderComparisonPage,
  rewardTable,
} from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { renderTable } from '../parts/table.ts'

interface CompareResult extends Comparison {
  markdown: boolean
  /** The page that was written. */
  html?: string
}

const markdownCell = (text: string) => text.replace(/\|/g, '\\|').replace(/\s*\n\s*/g, ' ')
const markdownTable = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(markdownCell).join(' | ')} |`).join('\n')

const sampleLines = ({ id, prompt, reference, answers }: ComparedSample): string[] => {
  const lines = [...answers, { name: 'reference', text: reference }]
  const width = Math.max(...lines.map(({ name }) => name.length))
  const short = (text: string) => {
    const line = text.replace(/\s+/g, ' ').trim()
    return line.length > 300 ? `${line.slice(0, 299)}…` : line
  }
  return [`${id}: ${short(prompt)}`, ...lines.map(({ name, text }) => `  ${name.padEnd(width)}  ${short(text)}`)]
}

export const compare = defineCommand({
  name: 'compare',
  summary: 'Compare fine-tuned runs: scores with intervals and significance, trained parameters, time, memory and size',
  example: 'tunesmith compare runs/full runs/lora --html comparison.html',
  arguments: [{ name: 'runs', description: 'folders of finished fine-tuning runs', variadic: true }],
  options: z.strictObject({
    markdown: z.boolean().default(false).describe('print Markdown tables'),
    html: z.string().optional().describe('HTML file to write, with tables, plots and samples'),
    resamples: z.int().positive().default(1000).describe('bootstrap resamples for the differences'),
    seed: z.int().default(0).describe('seed of the bootstrap'),
  }),
  async run({ markdown, html, resamples, seed }, { runs }, context): Promise<CompareResult> {
    const compared = await compareRuns(runs, { resamples, seed })
    for (const warning of compared.warnings) context.warn(warning)
    if (html !== undefined) await writeFileAtomic(html, await renderComparisonPage(compared))
    return { markdown, ...(html === undefined ? {} : { html }), ...compared }
  },
  render(result) {
    const tables = comparisonTables(result)
    const table = result.markdown ? markdownTable : renderTable
    const parts = tables.flatMap(({ task, head, rows }) => {
      const title = result.markdown ? [`## ${task}`, ''] : [task]
      return tables.length > 1 ? [...title, table(head, rows), ''] : [table(head, rows)]
    })
    const charts = result.rewards.flatMap((chart) => {
      const { head, rows } = rewardTable(chart)
      return ['', table(head, rows), '']
    })
    const samples = result.samples.slice(0, 5).flatMap(sampleLines)
    const page = result.html === undefined ? [] : [`page  ${result.html}`]
    return [...parts, ...charts, ...samples, ...page].join('\n').trimEnd()
  },
})
