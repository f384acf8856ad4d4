// The numbers of a run's events as columns that grow, and their reduction to the buckets of a chart or to a small picture.
import { finiteOrNull } from '../shown-values.ts'
import type { BucketedCurve } from '../types/api-types.ts'

/** Evenly spaced values of a sequence of unknown length. */
export class Sparkline {
  #values: number[] = []
  #every = 1
  #seen = 0
  readonly #capacity: number

  constructor(capacity = 120) {
    this.#capacity = capacity
  }

  add(value: number): void {
    if (this.#seen++ % this.#every !== 0 || !Number.isFinite(value)) return
    this.#values.push(value)
    if (this.#values.length <= this.#capacity) return
    this.#values = this.#values.filter((_, i) => i % 2 === 0)
    this.#every *= 2
  }

  get values(): number[] {
    // Three digits are finer than a pixel, and short to send.
    return this.#values.map((value) => Number(value.toPrecision(3)))
  }
}

/** Numbers that grow at the end, without a boxed value for each. */
export class Growing {
  #values = new Float64Array(256)
  length = 0

  push(value: number): void {
    if (this.length === this.#values.length) {
      const larger = new Float64Array(2 * this.length)
      larger.set(this.#values)
      this.#values = larger
    }
    this.#values[this.length++] = value
  }

  at(i: number): number {
    return this.#values[i]
  }

  /** First index whose value is at least `value`; the values must not fall. */
  firstAtLeast(value: number): number {
    let low = 0
    let high = this.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#values[middle] < value) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** A column with its own steps. */
interface Column {
  steps: Growing
  values: Growing
}

/** A range of steps and the number of buckets that it is divided into. */
interface BucketRange {
  /** First step (default: the first of the column). */
  from?: number
  /** Last step (default: the last of the column). */
  to?: number
  buckets: number
}

/** Columns by name. */
export class Columns {
  readonly #columns = new Map<string, Column>()

  get names(): string[] {
    return [...this.#columns.keys()]
  }

  /** Number of values in all columns. */
  get size(): number {
    let size = 0
    for (const { values } of this.#columns.values()) size += values.length
    return size
  }

  /** Every step of a column with its value. */
  entries(name: string): [step: number, value: number][] {
    const column = this.#columns.get(name)
    if (column === undefined) return []
    return Array.from({ length: column.values.length }, (_, i) => [column.steps.at(i), column.values.at(i)])
  }

  add(name: string, step: number, value: number): void {
    let column = this.#columns.get(name)
    if (column === undefined) this.#columns.set(name, (column = { steps: new Growing(), values: new Growing() }))
    // After weights went back to a checkpoint, steps come again; those that count are the later ones.
    if (column.steps.length > 0 && step < column.steps.at(column.steps.length - 1)) {
      const kept = column.steps.firstAtLeast(step)
      column.steps.length = kept
      column.values.length = kept
    }
    column.steps.push(step)
    column.values.push(value)
  }

  /** The newest value of a column. */
  last(name: string): number | undefined {
    const values = this.#columns.get(name)?.values
    return values === undefined ? undefined : values.at(values.length - 1)
  }

  clear(): void {
    this.#columns.clear()
  }

  /** Value of the last entry at or before a step; undefined before the first. */
  valueAt(name: string, step: number): number | undefined {
    const column = this.#columns.get(name)
    if (column === undefined) return undefined
    const i = column.steps.firstAtLeast(step + 1) - 1
    return i < 0 ? undefined : column.values.at(i)
  }

  /** The column in at most `buckets` buckets of an equal number of entries. An unknown name gives an empty curve. */
  bucketed(name: string, { from, to, buckets }: BucketRange): BucketedCurve {
    const curve: BucketedCurve = { name, steps: [], min: [], max: [], last: [] }
    const column = this.#columns.get(name)
    if (column === undefined) return curve
    const { steps, values } = column
    const first = from === undefined ? 0 : steps.firstAtLeast(from)
    const end = to === undefined ? steps.length : steps.firstAtLeast(to + 1)
    const count = end - first
    const used = Math.min(count, buckets)
    for (let bucket = 0; bucket < used; bucket++) {
      const start = first + Math.floor((bucket * count) / used)
      const stop = first + Math.floor(((bucket + 1) * count) / used)
      let min = Number.POSITIVE_INFINITY
      let max = Number.NEGATIVE_INFINITY
      for (let i = start; i < stop; i++) {
        const value = values.at(i)
        if (value < min) min = value
        if (value > max) max = value
      }
      curve.steps.push(steps.at(start))
      curve.min.push(finiteOrNull(min))
      curve.max.push(finiteOrNull(max))
      curve.last.push(finiteOrNull(values.at(stop - 1)))
    }
    return curve
  }
}
