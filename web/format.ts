// Numbers and times as the pages show them.
import type { RunRow } from '../src/serving/studio/types/api-types.ts'

export { formatBytes, formatCount, formatDuration } from '../src/core/format.ts'

/** A value of a metric or loss; empty without one. */
export const formatValue = (value: number | null | undefined): string =>
  value === null || value === undefined
    ? ''
    : Math.abs(value) < 1e-4 && value !== 0
      ? value.toExponential(2).replace('e-', 'e−')
      : String(Number(value.toPrecision(5)))

/** An ISO time as date and time here. */
export const formatTime = (iso: string | null): string => (iso === null ? '' : new Date(iso).toLocaleString())

/** A whole number in full: 1,200. */
export const formatWhole = (value: number): string => value.toLocaleString('en')

/** What a run cost; empty without a price. */
export const formatCost = (cost: RunRow['cost']): string =>
  cost === null ? '' : `${cost.amount < 0.1 ? cost.amount.toPrecision(2) : cost.amount.toFixed(2)} ${cost.currency}`

/** `0.812 [0.790, 0.834]`. */
export const formatInterval = ({
  value,
  low,
  high,
}: {
  value: number | null
  low: number | null
  high: number | null
}): string => {
  if (value === null) return '–'
  const short = (number: number) => number.toFixed(Math.abs(number) < 10 ? 3 : 2)
  return low === null || high === null ? short(value) : `${short(value)} [${short(low)}, ${short(high)}]`
}
