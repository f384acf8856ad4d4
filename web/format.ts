// Numbers and times as the pages show them.
export { formatBytes, formatCount, formatDuration } from '../src/core/format.ts'

/** A value of a metric or loss; empty without one. */
export const formatValue = (value: number | null | undefined): string =>
  value === null || value === undefined ? '' : String(Number(value.toPrecision(5)))

/** An ISO time as date and time here. */
export const formatTime = (iso: string | null): string => (iso === null ? '' : new Date(iso).toLocaleString())

/** The number of a step, in full: 1,200. */
export const formatStep = (step: number): string => step.toLocaleString('en')
