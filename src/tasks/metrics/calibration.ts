// Expected calibration error: the mean distance of confidence and accuracy over bins of equal width.
// @source Guo et al. 2017, arXiv:1706.04599, section 3
import { GrowingList } from './scored-units.ts'

export interface CalibrationBin {
  /** Confidences in (from, to]. */
  from: number
  to: number
  units: number
  confidence: number
  accuracy: number
}

export class Calibration {
  readonly #bins: number
  readonly #confidences = new GrowingList()
  readonly #right = new GrowingList()

  constructor(bins = 15) {
    this.#bins = bins
  }

  /** @param confidence probability of the predicted class */
  add(confidence: number, isRight: boolean): void {
    this.#confidences.push(confidence)
    this.#right.push(isRight ? 1 : 0)
  }

  bins(counts?: ArrayLike<number>): CalibrationBin[] {
    const bins = Array.from({ length: this.#bins }, (_, i) => ({
      from: i / this.#bins,
      to: (i + 1) / this.#bins,
      units: 0,
      confidence: 0,
      accuracy: 0,
    }))
    const confidences = this.#confidences.values()
    const right = this.#right.values()
    for (let i = 0; i < confidences.length; i++) {
      const count = counts === undefined ? 1 : counts[i]
      const bin = bins[Math.min(this.#bins - 1, Math.max(0, Math.ceil(confidences[i] * this.#bins) - 1))]
      bin.units += count
      bin.confidence += count * confidences[i]
      bin.accuracy += count * right[i]
    }
    for (const bin of bins) {
      if (bin.units === 0) continue
      bin.confidence /= bin.units
      bin.accuracy /= bin.units
    }
    return bins
  }

  error(counts?: ArrayLike<number>): number {
    const bins = this.bins(counts)
    const units = bins.reduce((sum, bin) => sum + bin.units, 0)
    return bins.reduce((sum, bin) => sum + (bin.units / units) * Math.abs(bin.accuracy - bin.confidence), 0)
  }
}
