// A matrix of models and tasks as a table, a heat map and a page. Runs no model.
import { escapeHtml, type HeatCell, htmlPage, htmlTable, renderHeatMap } from '../../tracking/index.ts'
import type { MatrixCell, TaskMatrix } from './compare-matrix.ts'

const number = (value: number): string => (Number.isNaN(value) ? '–' : value.toFixed(4))
const percent = (share: number): string => `${share >= 0 ? '+' : ''}${(100 * share).toFixed(1)} %`
const scoreText = (cell: MatrixCell | undefined): string =>
  cell !== undefined && 'value' in cell ? `${number(cell.value)} [${number(cell.low)}, ${number(cell.high)}]` : '–'

/** Why cells are empty, each reason once with its models. */
export const missingCells = ({ columns, rows }: TaskMatrix): string[] => {
  const lines = rows.flatMap(({ name, cells, perplexity }) => [
    ...cells.flatMap((cell, c) => ('missing' in cell ? [`${name} on ${columns[c].name}: ${cell.missing}`] : [])),
    ...(perplexity !== undefined && 'missing' in perplexity ? [`${name} on the corpus: ${perplexity.missing}`] : []),
  ])
  return [...new Set(lines)]
}

/** The matrix as head and rows of a table. */
export const matrixTable = ({ columns, rows, corpus }: TaskMatrix): { head: string[]; rows: string[][] } => ({
  head: [
    'model',
    ...columns.map(({ name, metric }) => `${name}: ${metric}`),
    ...(corpus === undefined ? [] : ['perplexity on the corpus', 'forgetting']),
  ],
  rows: rows.map(({ name, kind, cells, perplexity, forgetting }) => [
    kind === 'base' ? `${name} (base)` : name,
    ...cells.map(scoreText),
    ...(corpus === undefined ? [] : [scoreText(perplexity), forgetting === undefined ? '' : percent(forgetting)]),
  ]),
})

/** Cells of a column: the best is 1, the worst 0. */
const heatOf = (
  cells: readonly (MatrixCell | undefined)[],
  lowerIsBetter: boolean,
  notes: readonly string[],
): HeatCell[] => {
  const values = cells.map((cell) => (cell !== undefined && 'value' in cell ? cell.value : Number.NaN))
  const known = values.filter((value) => !Number.isNaN(value))
  const [low, high] = [Math.min(...known), Math.max(...known)]
  return values.map((value, i) => {
    if (Number.isNaN(value)) return { text: '–', share: undefined, note: notes[i] }
    const share = high === low ? 1 : (value - low) / (high - low)
    return { text: value.toPrecision(4), share: lowerIsBetter ? 1 - share : share, note: notes[i] }
  })
}

/** The heat map of a matrix as an SVG document: colours compare the models of a column. */
export const renderMatrixPicture = ({ columns, rows, corpus }: TaskMatrix): string => {
  const notesOf = (of: (row: TaskMatrix['rows'][number]) => MatrixCell | undefined) =>
    rows.map((row) => {
      const cell = of(row)
      return `${row.name}: ${cell !== undefined && 'missing' in cell ? cell.missing : scoreText(cell)}`
    })
  const byColumn = columns.map(({ lowerIsBetter }, c) =>
    heatOf(
      rows.map(({ cells }) => cells[c]),
      lowerIsBetter,
      notesOf(({ cells }) => cells[c]),
    ),
  )
  if (corpus !== undefined)
    byColumn.push(
      heatOf(
        rows.map(({ perplexity }) => perplexity),
        true,
        notesOf(({ perplexity }) => perplexity),
      ),
    )
  return renderHeatMap({
    title: 'Models by task, colours by column',
    columns: [...columns.map(({ name }) => name), ...(corpus === undefined ? [] : ['perplexity'])],
    rows: rows.map(({ name, kind }, r) => ({
      name: kind === 'base' ? `${name} (base)` : name,
      cells: byColumn.map((cells) => cells[r]),
    })),
  })
}

/** The matrix as a self-contained page. */
export const renderMatrixPage = (matrix: TaskMatrix): string => {
  const { head, rows } = matrixTable(matrix)
  const missing = missingCells(matrix).map((line) => `<li>${escapeHtml(line)}</li>`)
  return htmlPage(
    'Generalist and specialists',
    [
      '<h1>Generalist and specialists</h1>',
      `<figure>${renderMatrixPicture(matrix)}</figure>`,
      htmlTable(head, rows),
      missing.length === 0 ? '' : `<h2>Without a score</h2><ul>${missing.join('')}</ul>`,
    ].join('\n'),
  )
}
