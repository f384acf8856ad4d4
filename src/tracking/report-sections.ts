// The charts of a report and their order, for text and HTML.
import type { AxisKind, Series } from './chart-scale.ts'
import { type Column, type RunHistory, seriesOf } from './history.ts'

/** A chart with its curves. */
export interface Chart {
  title: string
  series: Series[]
  axis: AxisKind
}

const shown: Record<string, { title: string; axis: AxisKind }> = {
  learningRate: { title: 'Learning rate', axis: 'linear' },
  gradientNorm: { title: 'Gradient norm', axis: 'log' },
  tokensPerSecond: { title: 'Tokens per second', axis: 'linear' },
  memoryBytes: { title: 'Memory, bytes', axis: 'linear' },
}

/** The charts of a run: training and validation loss, the terms of the loss, other training values, metrics of training batches, rollouts and validation. */
export const chartsOf = ({ training, measured, rollouts, evaluations }: RunHistory): Chart[] => {
  const charts: Chart[] = []
  const { loss } = training
  if (loss !== undefined) {
    const smooth: Series[] = loss.values.length < 50 ? [] : [seriesOf('smoothed', smoothed(loss))]
    const evaluated = evaluations.loss === undefined ? [] : [seriesOf('evaluation', evaluations.loss)]
    charts.push({ title: 'Loss', series: [seriesOf('training', loss), ...smooth, ...evaluated], axis: 'linear' })
  }
  const terms = Object.keys(training).filter((name) => name !== 'loss' && !(name in shown))
  if (terms.length > 0)
    charts.push({
      title: 'Terms of the loss',
      series: terms.map((name) => seriesOf(name, training[name])),
      axis: 'linear',
    })
  for (const [name, { title, axis }] of Object.entries(shown)) {
    if (training[name] !== undefined) charts.push({ title, series: [seriesOf(name, training[name])], axis })
  }
  const others = { 'Training batches': measured, Rollouts: rollouts }
  for (const [title, columns] of Object.entries(others))
    for (const [name, column] of Object.entries(columns))
      charts.push({ title: `${title}: ${name}`, series: [seriesOf(name, column)], axis: 'linear' })
  for (const [name, column] of Object.entries(evaluations)) {
    if (name !== 'loss' || loss === undefined)
      charts.push({ title: `Evaluation: ${name}`, series: [seriesOf(name, column)], axis: 'linear' })
  }
  return charts
}

/** Exponential moving average over about a fiftieth of the run, unbiased at its start; values that are not finite are skipped. */
export const smoothed = ({ steps, values }: Column): Column => {
  const keep = 1 - 1 / Math.max(1, values.length / 50)
  let sum = 0
  let weight = 0
  const averages = values.map((value) => {
    if (Number.isFinite(value)) {
      sum = keep * sum + (1 - keep) * value
      weight = keep * weight + (1 - keep)
    }
    return weight > 0 ? sum / weight : Number.NaN
  })
  return { steps, values: averages }
}
