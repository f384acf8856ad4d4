// Predictions compared with references: scores of all units or of any resample of them, so that confidence intervals and significance
// tests work for every metric.

/** Scores by name. */
export interface Scores {
  [metric: string]: number
}

/** Scores over units that can be resampled. */
export interface ScoredUnits {
  /** Number of units: records, or their predictions. */
  readonly units: number
  /** The scores with unit i counted `counts[i]` times (default: once). */
  scores(counts?: ArrayLike<number>): Scores
  /** Results that are more than a number, such as a confusion matrix, over all units. */
  details(): { [name: string]: unknown }
}

/** Numbers that are added one by one, 8 bytes each; an array of JavaScript would copy them again and again as it grows. */
export class GrowingList {
  #values: Float64Array
  #length = 0

  /** @param capacity numbers that fit before the first copy */
  constructor(capacity = 1024) {
    this.#values = new Float64Array(capacity)
  }

  get length(): number {
    return this.#length
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const longer = new Float64Array(2 * this.#length)
      longer.set(this.#values)
      this.#values = longer
    }
    this.#values[this.#length++] = value
  }

  /** Valid until the next push. */
  values(): Float64Array {
    return this.#values.subarray(0, this.#length)
  }
}
