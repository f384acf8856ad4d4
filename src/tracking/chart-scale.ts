// Axes of charts: positions of numbers and round labels. Terminal and SVG use it.

/** A linear or logarithmic axis. */
export type AxisKind = 'linear' | 'log'

/** A named curve. */
export interface Series {
  name: string
  x: ArrayLike<number>
  y: ArrayLike<number>
}

/** An axis with its range and ticks. */
export interface Scale {
  readonly kind: AxisKind
  readonly low: number
  readonly high: number
  /** 0 at `low`, 1 at `high`; NaN for values without a position. */
  place(value: number): number
  /** Round numbers within the axis in ascending order, about `count` of them. */
  ticks(count: number): number[]
}

/** A scale over all finite values; a log scale leaves out those that are not positive. */
export const scaleOver = (columns: readonly ArrayLike<number>[], kind: AxisKind = 'linear'): Scale => {
  let low = Number.POSITIVE_INFINITY
  let high = Number.NEGATIVE_INFINITY
  for (const column of columns) {
    for (let i = 0; i < column.length; i++) {
      const value = column[i]
      if (!Number.isFinite(value) || (kind === 'log' && value <= 0)) continue
      if (value < low) low = value
      if (value > high) high = value
    }
  }
  if (low > high) [low, high] = kind === 'log' ? [1, 10] : [0, 1]
  if (low === high) {
    const margin = kind === 'log' ? 0 : Math.abs(low) * 0.1 || 0.5
    ;[low, high] = kind === 'log' ? [low / 2, high * 2] : [low - margin, high + margin]
  }
  return kind === 'log' ? logScale(low, high) : linearScale(low, high)
}

const linearScale = (low: number, high: number): Scale => ({
  kind: 'linear',
  low,
  high,
  place: (value) => (Number.isFinite(value) ? (value - low) / (high - low) : Number.NaN),
  ticks: (count) => linearTicks(low, high, count),
})

const logScale = (low: number, high: number): Scale => {
  const [from, to] = [Math.log(low), Math.log(high)]
  return {
    kind: 'log',
    low,
    high,
    place: (value) => (Number.isFinite(value) && value > 0 ? (Math.log(value) - from) / (to - from) : Number.NaN),
    ticks(count) {
      const decades: number[] = []
      for (let power = Math.ceil(Math.log10(low) - 1e-9); 10 ** power <= high * (1 + 1e-9); power++)
        decades.push(10 ** power)
      if (decades.length > count) return decades.filter((_, i) => i % Math.ceil(decades.length / count) === 0)
      if (decades.length >= 3) return decades
      const parts: number[] = []
      for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++)
        for (const part of [1, 2, 5])
          if (part * 10 ** power >= low && part * 10 ** power <= high) parts.push(part * 10 ** power)
      return parts.length >= 2 ? parts : linearTicks(low, high, count)
    },
  }
}

const linearTicks = (low: number, high: number, count: number): number[] => {
  const raw = (high - low) / Math.max(1, count)
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = [1, 2, 5, 10].map((part) => part * power).find((size) => size >= raw * (1 - 1e-9)) ?? power * 10
  const ticks: number[] = []
  // Multiples instead of sums avoid growing rounding errors; adding 0 turns -0 into 0.
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step + 0)
  return ticks
}

/** A short label of an axis: `0.05`, `1200`, `3.2e-5`, `45k`. */
export const formatTick = (value: number): string => {
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size < 1e-3) return trimmed(value.toExponential(1))
  for (const [unit, name] of [
    [1e12, 'T'],
    [1e9, 'B'],
    [1e6, 'M'],
    [1e4, 'k'],
  ] as const) {
    if (size >= unit) return `${Number((value / (name === 'k' ? 1e3 : unit)).toPrecision(4))}${name}`
  }
  return String(Number(value.toPrecision(4)))
}

const trimmed = (exponential: string): string => exponential.replace('.0e', 'e')
