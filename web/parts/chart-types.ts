// What a chart is given: independent of how it is drawn.

/** One curve. */
export interface ChartCurve {
  name: string
  x: readonly number[]
  /** Null where there is no value. */
  y: readonly (number | null)[]
  /** Extremes around `y`, drawn as a band. */
  low?: readonly (number | null)[]
  high?: readonly (number | null)[]
  /** Number of the colour, from 0 (default: the position of the curve). */
  color?: number
  /** Lengths of dashes and gaps in pixels (default: none). */
  dash?: readonly number[]
  /** Draws it pale, under a curve that is smoothed. */
  faint?: boolean
}

/** A line across the chart. */
export interface ChartMark {
  x: number
  /** A variable of styles/base.css, such as `--bad`. */
  color: string
}

/** What a chart shows, and how. */
export interface ChartProps {
  /** What the chart shows, for people who cannot see it. */
  label: string
  /** Heading (default: none). */
  title?: string
  curves: readonly ChartCurve[]
  marks?: readonly ChartMark[]
  height?: number
  logX?: boolean
  logY?: boolean
  /** Charts of one key move their cursors together. */
  syncKey?: string
  /** Range of x that is shown (default: all). */
  range?: readonly [number, number] | undefined
  /** Range of x that there is, where the curves are only a part of it (default: that of the curves). */
  extent?: readonly [number, number]
  /** Called with a range when the user drags, and with undefined when the user wants all again. */
  onRange?(range: [number, number] | undefined): void
  /** Called with the x of a click. */
  onPick?(x: number): void
  formatX?(x: number): string
  formatY?(y: number): string
  /** Whether y is a number of bytes. */
  ofBytes?: boolean
  /** Name of the files that the chart can be saved as (default: none can). */
  exportName?: string
  /** Name of the column of x in such a file (default: step). */
  exportX?: string
}
