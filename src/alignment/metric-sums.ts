// Sums of what a criterion measures, read from the device in one piece.
import type { Metric } from '../objectives/index.ts'
import { stack, type Tensor, widened } from '../tensor/index.ts'

/** Collects metrics of a batch by name: each a sum, and the weight that it is divided by over the global batch. */
export class MetricSums {
  readonly #weight: number
  readonly #names: string[] = []
  readonly #weights: number[] = []
  readonly #sums: Tensor[] = []

  /** @param weight of metrics that are added without one */
  constructor(weight: number) {
    this.#weight = weight
  }

  /** Adds the sum of `values`, of any shape and dtype. */
  add(name: string, values: Tensor, weight = this.#weight): void {
    this.#names.push(name)
    this.#weights.push(weight)
    this.#sums.push(widened(values.detach()).sum())
  }

  /** All metrics as numbers. */
  read(): Record<string, Metric> {
    if (this.#sums.length === 0) return {}
    const values = stack(this.#sums).toTypedArray()
    return Object.fromEntries(
      this.#names.map((name, i) => [name, { sum: Number(values[i]), weight: this.#weights[i] }]),
    )
  }
}
