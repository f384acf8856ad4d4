// The x axis of curves: steps, tokens or time. Ranges of an axis become ranges of steps, which the server understands.
import type { Curves } from '../../src/serving/studio/types/api-types.ts'
import { formatTick } from '../../src/tracking/chart-scale.ts'
import { formatDuration } from '../format.ts'

export type AxisName = 'step' | 'tokens' | 'time'

export const axisNames: readonly AxisName[] = ['step', 'tokens', 'time']

/** How values of an axis are written. */
export const axisFormats: Record<AxisName, (value: number) => string> = {
  step: String,
  tokens: formatTick,
  time: (seconds) => formatDuration(seconds * 1000),
}

/** An axis: from steps to its values and back. */
export interface RunAxis {
  ofStep(step: number): number
  toStep(value: number): number
  format(value: number): string
}

/** The value at `at` of the line through points with rising `x`, continued beyond its ends. */
const interpolate = (x: readonly number[], y: readonly number[], at: number): number => {
  if (x.length === 0) return at
  if (x.length === 1) return x[0] === 0 ? y[0] : (y[0] / x[0]) * at
  let low = 0
  let high = x.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (x[middle] <= at) low = middle
    else high = middle
  }
  const width = x[high] - x[low]
  return width === 0 ? y[low] : y[low] + ((at - x[low]) / width) * (y[high] - y[low])
}

/** The axis of a name, over the buckets of the loss. */
export const runAxis = (name: AxisName, { steps, tokens, seconds }: Curves['axis']): RunAxis => {
  const format = axisFormats[name]
  if (name === 'step') return { ofStep: (step) => step, toStep: (value) => value, format }
  const values = name === 'tokens' ? tokens : seconds
  return {
    ofStep: (step) => interpolate(steps, values, step),
    toStep: (value) => interpolate(values, steps, value),
    format,
  }
}
