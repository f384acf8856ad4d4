// Scores of generated texts by any selection of metrics. Independent of task and model.
import { ConfigError, didYouMean } from '../../core/index.ts'
import { findTextMetric, textMetricNames } from './index.ts'
import { GrowingList, type ScoredUnits, type Scores } from './scored-units.ts'
import type { MetricAccumulator, TextPair } from './text-metric.ts'

/** Settings of `scoreTexts`. */
export interface ScoreTextsOptions {
  /** Names of metrics, in the order of their scores. */
  metrics: readonly string[]
  /** ROUGE: compare stems of English words (default: false, as in rouge-score). */
  stemming?: boolean
  /** `exactMatch`: compare in lower case, without punctuation and articles (default: true). */
  normalized?: boolean
}

interface Part {
  metric: string
  accumulator: MetricAccumulator
  /** Index of its first sum. */
  at: number
}

/** Scores of predictions by each metric's official rules, one after the other. */
export class TextScores implements ScoredUnits {
  readonly #parts: Part[]
  readonly #width: number
  /** [units, width]: a row of numbers for each pair. */
  readonly #numbers = new GrowingList()
  #units = 0

  /** @throws ConfigError for no or an unknown metric */
  constructor({ metrics, stemming = false, normalized = true }: ScoreTextsOptions) {
    if (metrics.length === 0) throw new ConfigError('`metrics` needs at least one metric, got an empty list.')
    for (const metric of metrics)
      if (findTextMetric(metric) === undefined)
        throw new ConfigError(
          `Expected one of ${textMetricNames().join(', ')} for \`metrics\`, got "${metric}".${didYouMean(metric, textMetricNames())}`,
        )
    let width = 0
    this.#parts = [...new Set(metrics)].map((metric) => {
      const accumulator = findTextMetric(metric)!.create({ stemming, normalized })
      const part = { metric, accumulator, at: width }
      width += accumulator.width
      return part
    })
    this.#width = width
  }

  get units(): number {
    return this.#units
  }

  add(pair: TextPair): void {
    this.#units++
    for (const { accumulator } of this.#parts) {
      const measured = accumulator.measure(pair)
      for (let k = 0; k < accumulator.width; k++) this.#numbers.push(measured[k])
    }
  }

  #sums(counts?: ArrayLike<number>): { sums: Float64Array; units: number } {
    const [numbers, width] = [this.#numbers.values(), this.#width]
    const sums = new Float64Array(width)
    let units = 0
    for (let i = 0; i < this.#units; i++) {
      const count = counts === undefined ? 1 : counts[i]
      if (count === 0) continue
      units += count
      for (let k = 0, at = i * width; k < width; k++, at++) sums[k] += count * numbers[at]
    }
    return { sums, units }
  }

  scores(counts?: ArrayLike<number>): Scores {
    const { sums, units } = this.#sums(counts)
    const scores: Scores = {}
    for (const { accumulator, at } of this.#parts)
      Object.assign(scores, accumulator.scores(sums.subarray(at, at + accumulator.width), units))
    return scores
  }

  details(): { [name: string]: unknown } {
    const { sums, units } = this.#sums()
    return Object.fromEntries(
      this.#parts.flatMap(({ metric, accumulator, at }) => {
        const details = accumulator.details?.(sums.subarray(at, at + accumulator.width), units)
        return details === undefined ? [] : [[metric, details]]
      }),
    )
  }
}

/**
 * Scores predictions by each metric's official rules: ROUGE, exact match and F1 as shares, BLEU and chrF from 0 to 100. `details`
 * has precision and recall of ROUGE and the signatures of BLEU and chrF.
 * @throws ConfigError for no or an unknown metric, or a pair without references
 */
export const scoreTexts = (pairs: readonly TextPair[], options: ScoreTextsOptions): ScoredUnits => {
  const scores = new TextScores(options)
  pairs.forEach((pair, i) => {
    if (pair.references.length === 0)
      throw new ConfigError(`Expected at least one reference for \`pairs[${i}]\`, got none.`)
    scores.add(pair)
  })
  return scores
}
