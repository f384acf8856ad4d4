// `tunesmith compare`: fine-tuned runs side by side, as a table, as Markdown or as a page.
import { z } from 'zod'
import { ConfigError, writeFileAtomic } from '../../core/index.ts'
import {
  compareMatrix,
  type MatrixInput,
  matrixTable,
  missingCells,
  renderMatrixPage,
  renderMatrixPicture,
  type TaskMatrix,
} from '../../inference/index.ts'
import {
  type ComparedSample,
  type Comparison,
  compareRuns,
  comparisonTables,
  renderComparisonPage,
  rewardTable,
  verdictsOf,
} from '../../runs/index.ts'
import { type CommandContext, defineCommand } from '../command.ts'
import { countField, switchField, textField } from '../parts/fields.ts'
import { labelledProgress } from '../parts/labelled-progress.ts'
import { renderTable } from '../parts/table.ts'
import { wrapLine } from '../parts/text-lines.ts'

interface CompareResult extends Comparison {
  markdown: boolean
  matrix?: undefined
  /** The page that was written. */
  html?: string
}

/** A matrix in place of the comparison of runs of one task. */
interface MatrixResult extends TaskMatrix {
  markdown: boolean
  matrix: true
  html?: string
  picture?: string
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

const runMatrix = async (
  input: MatrixInput,
  { markdown, html, picture }: Pick<MatrixResult, 'markdown' | 'html' | 'picture'>,
  context: CommandContext,
): Promise<MatrixResult> => {
  const { onProgress, stop } = labelledProgress(context)
  try {
    const { group, signal } = context
    const beside = html ?? picture
    const keep = input.keep ?? (beside === undefined ? undefined : `${beside}.scores.jsonl`)
    const onKept = (scores: number) => {
      if (scores > 0) context.log(`${scores} scores are those of ${keep}.`)
    }
    const found = await compareMatrix({ ...input, keep }, { signal, onProgress, onKept, group })
    if (group?.first !== false) {
      if (html !== undefined) await writeFileAtomic(html, renderMatrixPage(found))
      if (picture !== undefined) await writeFileAtomic(picture, renderMatrixPicture(found))
    }
    const files = { ...(html === undefined ? {} : { html }), ...(picture === undefined ? {} : { picture }) }
    return { markdown, matrix: true, ...files, ...found }
  } finally {
    stop()
  }
}

const renderMatrix = (result: MatrixResult): string => {
  const { head, rows } = matrixTable(result)
  const missing = missingCells(result)
  return [
    (result.markdown ? markdownTable : renderTable)(head, rows),
    ...(missing.length === 0 ? [] : ['', 'without a score:', ...missing.map((line) => `  ${line}`)]),
    ...(result.html === undefined ? [] : [`page  ${result.html}`]),
    ...(result.picture === undefined ? [] : [`picture  ${result.picture}`]),
  ].join('\n')
}

export const compare = defineCommand({
  name: 'compare',
  summary: 'Compare fine-tuned runs: scores with intervals and significance, trained parameters, time, memory and size',
  example: 'tunesmith compare runs/full runs/lora --html comparison.html',
  arguments: [{ name: 'runs', description: 'folders of finished fine-tuning runs', variadic: true }],
  processes: 'divided',
  options: z.strictObject({
    markdown: switchField('print Markdown tables'),
    html: textField('HTML file to write, with tables, plots and samples'),
    matrix: switchField('score the base and every specialist on every task of the runs, which runs the models'),
    corpus: textField(
      "matrix: text of the base's corpus (shards, a corpus or files), for its perplexity before and after",
    ),
    corpusTokens: countField('matrix: tokens of the corpus to score (default: all)'),
    limit: countField('matrix: validation records of each task, spread evenly (default: all)'),
    dtype: z
      .enum(['float32', 'bfloat16'])
      .optional()
      .describe(
        'matrix: dtype of the weights; bfloat16 takes half the memory and less time (default: that of the files)',
      ),
    keep: textField(
      'matrix: file of finished scores, with which a comparison that was stopped continues (default: beside `html` or `picture`)',
    ),
    picture: textField('matrix: SVG file to write, with a heat map'),
    resamples: z.int().positive().default(1000).describe('bootstrap resamples for the differences'),
    seed: z.int().default(0).describe('seed of the bootstrap'),
  }),
  async run(options, { runs }, context): Promise<CompareResult | MatrixResult> {
    const { markdown, html, resamples, seed, matrix, picture, ...own } = options
    if (matrix) return runMatrix({ runs, resamples, seed, ...own }, { markdown, html, picture }, context)
    for (const [name, value] of Object.entries({ ...own, picture }))
      if (value !== undefined)
        throw new ConfigError(`\`${name}\` has no effect without \`matrix\`: set both or neither.`)
    const compared = await compareRuns(runs, { resamples, seed })
    for (const warning of compared.warnings) context.warn(warning)
    if (html !== undefined && context.group?.first !== false)
      await writeFileAtomic(html, await renderComparisonPage(compared))
    return { markdown, ...(html === undefined ? {} : { html }), ...compared }
  },
  render(result) {
    if (result.matrix) return renderMatrix(result)
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
    const verdicts = verdictsOf(result.runs).flatMap((line) => (result.markdown ? ['', line] : [wrapLine(line)]))
    const page = result.html === undefined ? [] : [`page  ${result.html}`]
    return [...parts, ...charts, ...samples, ...verdicts, ...page].join('\n').trimEnd()
  },
})
