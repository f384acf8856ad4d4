// Which charts a run has, and the curves of each from the answer of the server.
import type { BucketedCurve, Curves, RunDetails } from '../../../src/serving/studio/types/api-types.ts'
import type { RunAxis } from '../../parts/axes.ts'
import type { ChartCurve } from '../../parts/chart.tsx'
import { smooth } from '../../parts/smoothing.ts'

/** One chart: its title and the names of its columns. */
export interface RunChart {
  key: string
  title: string
  columns: string[]
  /** Whether values are numbers of bytes. */
  ofBytes?: boolean
  /** Whether a click reads the batch of the step. */
  ofBatches: boolean
}

const training: Record<string, string> = {
  learningRate: 'Learning rate',
  gradientNorm: 'Gradient norm',
  tokensPerSecond: 'Tokens per second',
  memoryBytes: 'Memory of the process',
  dataSeconds: 'Seconds of preparing data in a step',
}

const shortName = (column: string): string => column.slice(column.indexOf('/') + 1)

/** The charts of a run, most important first. */
export const chartsOfRun = ({ training: own, measured, rollouts, evaluations }: RunDetails['columns']): RunChart[] => {
  const terms = own.filter((name) => name.startsWith('term/'))
  const validation = evaluations.filter((name) => name === 'evaluation/loss')
  const charts: RunChart[] = []
  if (own.includes('loss'))
    charts.push({ key: 'loss', title: 'Loss', columns: ['loss', ...validation], ofBatches: true })
  if (terms.length > 0) charts.push({ key: 'terms', title: 'Terms of the loss', columns: terms, ofBatches: true })
  for (const [name, title] of Object.entries(training))
    if (own.includes(name))
      charts.push({
        ...{ key: name, title, columns: [name], ofBatches: name === 'gradientNorm' },
        ofBytes: name === 'memoryBytes',
      })
  for (const name of evaluations)
    if (name !== 'evaluation/loss' || !own.includes('loss'))
      charts.push({ key: name, title: `Evaluation: ${shortName(name)}`, columns: [name], ofBatches: false })
  for (const name of measured)
    charts.push({ key: name, title: `In training batches: ${shortName(name)}`, columns: [name], ofBatches: true })
  for (const name of rollouts)
    charts.push({ key: name, title: `Rollouts: ${shortName(name)}`, columns: [name], ofBatches: false })
  return charts
}

const labels: Record<string, string> = {
  loss: 'training',
  'evaluation/loss': 'validation',
  learningRate: 'learning rate',
  gradientNorm: 'norm',
  tokensPerSecond: 'tokens per second',
  memoryBytes: 'memory',
  dataSeconds: 'seconds',
}

/** What a chart is drawn with. */
export interface CurveView {
  axis: RunAxis
  /** Weight of the past; 0 for none. */
  smoothing: number
  logY: boolean
}

const positive = (values: readonly (number | null)[]) =>
  values.map((value) => (value !== null && value > 0 ? value : null))

/** What was predicted, from the first to the last step. */
const predictedCurve = ({ steps }: BucketedCurve, bytes: number, { axis }: CurveView): ChartCurve => ({
  name: 'predicted peak',
  x: [steps[0], steps[steps.length - 1]].map((step) => axis.ofStep(step)),
  y: [bytes, bytes],
  color: 1,
  dash: [6, 4],
})

/**
 * The curves of a chart: raw ones with their extremes, fainter where a smoothed one is over them.
 * @param predictedBytes memory that was predicted, which is drawn beside the measured one
 */
export const curvesOf = (
  chart: RunChart,
  { curves }: Curves,
  view: CurveView,
  predictedBytes: number | null,
): ChartCurve[] => {
  const { axis, smoothing, logY } = view
  const found = chart.columns.flatMap((name) => curves.find((curve) => curve.name === name) ?? [])
  const drawn = (values: readonly (number | null)[]) => (logY ? positive(values) : values)
  const drawnCurves = found.flatMap((curve: BucketedCurve, color): ChartCurve[] => {
    const name = labels[curve.name] ?? shortName(curve.name)
    const x = curve.steps.map((step) => axis.ofStep(step))
    const raw = { name, x, y: drawn(curve.last), low: drawn(curve.min), high: drawn(curve.max), color }
    // Evaluations are few, and each is a mean already.
    if (smoothing === 0 || curve.name.startsWith('evaluation/')) return [raw]
    return [
      { ...raw, faint: true },
      { name: `${name}, smoothed`, x, y: drawn(smooth(curve.last, smoothing)), color },
    ]
  })
  const [memory] = found
  if (chart.key !== 'memoryBytes' || predictedBytes === null || memory === undefined || memory.steps.length < 2)
    return drawnCurves
  return [...drawnCurves, predictedCurve(memory, predictedBytes, view)]
}
