// `tunesmith compare`: variants and bases side by side, for the terminal, for Markdown and as a page.
import Table from 'cli-table3'
import { z } from 'zod'
import { writeFileAtomic } from '../../core/index.ts'
import {
  type ComparedSample,
  type Comparison,
  compareRuns,
  comparisonTables,
  renderComparisonPage,
} from '../../runs/index.ts'
import { defineCommand } from '../command.ts'

interface Shown extends Comparison {
  markdown: boolean
  /** The page that was written. */
  html?: string
}

const markdownCell = (text: string) => text.replace(/\|/g, '\\|').replace(/\s*\n\s*/g, ' ')
const markdownTable = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(markdownCell).join(' | ')} |`).join('\n')

const terminalTable = (head: readonly string[], rows: readonly string[][]): string => {
  const table = new Table({ head: [...head], style: { head: [], border: [] } })
  table.push(...rows)
  return table.toString()
}

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
  summary:
    'Set fine-tuned runs side by side: scores with intervals and significance, trained parameters, time, memory and size',
  example: 'tunesmith compare runs/full runs/lora --html comparison.html',
  arguments: [{ name: 'runs', description: 'folders of finished fine-tuning runs', variadic: true }],
  options: z.strictObject({
    markdown: z.boolean().default(false).describe('Markdown tables'),
    html: z.string().optional().describe('file to write a page with tables, plots and samples to'),
    resamples: z.int().positive().default(1000).describe('draws behind the differences'),
    seed: z.int().default(0).describe('of the differences'),
  }),
  async run({ markdown, html, resamples, seed }, { runs }, context): Promise<Shown> {
    const compared = await compareRuns(runs, { resamples, seed })
    for (const warning of compared.warnings) context.warn(warning)
    if (html !== undefined) await writeFileAtomic(html, await renderComparisonPage(compared))
    return { markdown, ...(html === undefined ? {} : { html }), ...compared }
  },
  render(result) {
    const tables = comparisonTables(result)
    const table = result.markdown ? markdownTable : terminalTable
    const parts = tables.flatMap(({ task, head, rows }) => {
      const title = result.markdown ? [`## ${task}`, ''] : [task]
      return tables.length > 1 ? [...title, table(head, rows), ''] : [table(head, rows)]
    })
    const samples = result.samples.slice(0, 5).flatMap(sampleLines)
    const page = result.html === undefined ? [] : [`page  ${result.html}`]
    return [...parts, ...samples, ...page].join('\n').trimEnd()
  },
})
