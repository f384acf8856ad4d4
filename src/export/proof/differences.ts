// How far an export is from its model: sums over logits (largest difference, divergence of the predictions, most likely classes and
// perplexity), and quantised matrices one by one: a wrong scale or layout in one is found where logits, which all matrices change, still
// look plausible.

import type { Model } from '../../models/index.ts'
import { noGrad, scope } from '../../tensor/index.ts'
import type { ProofRow } from '../export-target.ts'

/** Target, consumer and tolerance of a comparison. */
export interface Comparison {
  target: string
  consumer: string
  /** Largest difference of logits, relative to the largest absolute logit. */
  limit: number
  /** Largest mean divergence of the predicted distributions, in nats. */
  klLimit?: number
  /** Largest difference where the program computes the same text twice, such as with a cache (default: `limit`). */
  repeatLimit?: number
}

/** A measured value with three digits. */
export const rounded = (value: number): number => Number(value.toPrecision(3))

/** Row of a value that may be at most `limit`. */
export const measuredRow = (
  { target, consumer }: Pick<Comparison, 'target' | 'consumer'>,
  check: string,
  value: number,
  limit: number,
  detail = '',
): ProofRow => ({
  ...{ target, consumer, check, value: rounded(value), limit, ok: value <= limit },
  ...(detail === '' ? {} : { detail }),
})

/** Index of the largest element. */
export const argmax = (values: ArrayLike<number>): number => {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i
  return best
}

/** log-softmax of one row. */
const logProbs = (values: Float32Array, from: number, width: number): Float64Array => {
  let most = Number.NEGATIVE_INFINITY
  for (let i = 0; i < width; i++) if (values[from + i] > most) most = values[from + i]
  let sum = 0
  for (let i = 0; i < width; i++) sum += Math.exp(values[from + i] - most)
  const shift = most + Math.log(sum)
  return Float64Array.from({ length: width }, (_, i) => values[from + i] - shift)
}

/** Largest difference of two lists, relative to the largest magnitude of the first; infinite for NaN and other lengths. */
export class RelativeDifference {
  #largest = 0
  #scale = 0

  add(ours: ArrayLike<number>, theirs: ArrayLike<number>): void {
    if (ours.length !== theirs.length) this.#largest = Number.POSITIVE_INFINITY
    for (let i = 0; i < ours.length; i++) {
      const difference = Math.abs(ours[i] - theirs[i])
      if (!(difference <= this.#largest))
        this.#largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference
      this.#scale = Math.max(this.#scale, Math.abs(ours[i]))
    }
  }

  get value(): number {
    return this.#largest / Math.max(this.#scale, 1e-12)
  }
}

/** Sums over the rows of several texts. */
export class LogitDifferences {
  readonly #difference = new RelativeDifference()
  #kl = 0
  #rows = 0
  #agreeing = 0
  #losses: [number, number] = [0, 0]
  #targets = 0

  /** Adds the rows of a text; `next[i]` is the token that row i should predict. */
  add(ours: Float32Array, theirs: Float32Array, width: number, next: readonly (number | undefined)[] = []): void {
    this.#difference.add(ours, theirs)
    for (let row = 0, from = 0; from < ours.length; row++, from += width) {
      const [p, q] = [logProbs(ours, from, width), logProbs(theirs, from, width)]
      for (let i = 0; i < width; i++) this.#kl += Math.exp(p[i]) * (p[i] - q[i])
      this.#rows++
      if (argmax(p) === argmax(q)) this.#agreeing++
      const target = next[row]
      if (target === undefined || target >= width) continue
      this.#losses[0] -= p[target]
      this.#losses[1] -= q[target]
      this.#targets++
    }
  }

  /** Largest difference, relative to the largest absolute logit. */
  get relative(): number {
    return this.#difference.value
  }

  /** Mean divergence of theirs from ours, in nats. */
  get kl(): number {
    return Math.max(0, this.#kl / Math.max(1, this.#rows))
  }

  /** Share of rows with the same most likely class. */
  get agreement(): number {
    return this.#agreeing / Math.max(1, this.#rows)
  }

  /** Perplexity of the source and of the export; undefined without targets. */
  get perplexities(): [number, number] | undefined {
    if (this.#targets === 0) return undefined
    return [Math.exp(this.#losses[0] / this.#targets), Math.exp(this.#losses[1] / this.#targets)]
  }

  /**
   * The rows of the proof.
   * @param options.explained whether another row says why the logits differ by more than the limit
   * @param options.detail which layer differs, where the logits differ too much
   */
  rows(
    { target, consumer, limit, klLimit }: Comparison,
    { explained = false, detail }: { explained?: boolean; detail?: string } = {},
  ): ProofRow[] {
    const near = this.relative <= limit
    const rows: ProofRow[] = [
      {
        target,
        consumer,
        check: 'logits, largest relative difference',
        value: rounded(this.relative),
        ...(explained ? {} : { limit }),
        ok: near || explained,
        ...(near || detail === undefined ? {} : { detail }),
      },
      {
        target,
        consumer,
        check: 'divergence of predictions (nats)',
        value: rounded(this.kl),
        ...(klLimit === undefined ? {} : { limit: klLimit }),
        ok: klLimit === undefined || this.kl <= klLimit,
      },
      { target, consumer, check: 'same most likely class', value: rounded(this.agreement), ok: true },
    ]
    if (this.perplexities !== undefined)
      rows.push({
        target,
        consumer,
        check: 'perplexity of the model, of the export',
        value: this.perplexities.map((one) => one.toPrecision(5)).join(', '),
        ok: true,
      })
    return rows
  }
}

/** One row; `detail` names the matrix with the largest error. @param limit of the root mean square error of a matrix */
export const compareWeights = (
  model: Model,
  other: Model,
  comparison: Pick<Comparison, 'target' | 'consumer'>,
  limit: number,
): ProofRow => {
  const theirs = other.parameters()
  let [worst, at] = [0, '']
  for (const [path, tensor] of model.parameters()) {
    const stored = theirs.get(path)
    if (tensor.ndim < 2 || stored === undefined) continue
    const error = noGrad(() =>
      scope(() => {
        // A table of positions may be stored without the rows before the first position.
        const before = tensor.shape[0] - stored.shape[0]
        const own = before > 0 ? tensor.narrow(0, before, stored.shape[0]) : tensor
        const size = own.norm().item()
        return size === 0 ? 0 : stored.sub(own).norm().item() / size
      }),
    )
    if (!(error <= worst)) [worst, at] = [error, path]
  }
  return measuredRow(comparison, 'weights, largest error of a matrix', worst, limit, at)
}
