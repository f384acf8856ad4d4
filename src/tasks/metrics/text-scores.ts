// The metrics of texts that stand for right ones, and how any choice of them judges predictions. A metric is one file and one line here.
// Knows no task and no model.
import { ConfigError, didYouMean } from '../../core/index.ts'
import { bleu } from './bleu.ts'
import { chrf, chrfPlusPlus } from './chrf.ts'
import { rouge1, rouge2, rougeL, rougeLsum } from './rouge.ts'
import type { ScoredUnits, Scores } from './scored-units.ts'
import { exactMatch, numericMatch, tokenF1 } from './text-answers.ts'
import type { TextMeasure, TextMetricDefinition, TextPair } from './text-metric.ts'

export const textMetrics = {
  rouge1,
  rouge2,
  rougeL,
  rougeLsum,
  bleu,
  chrf,
  'chrf++': chrfPlusPlus,
  exactMatch,
  numericMatch,
  tokenF1,
} as const satisfies { [name: string]: TextMetricDefinition }
export type TextMetric = keyof typeof textMetrics

export const textMetricNames = Object.keys(textMetrics) as [TextMetric, ...TextMetric[]]

export interface ScoreTextsOptions {
  /** Which scores are wanted, in this order. */
  metrics: readonly TextMetric[]
  /** ROUGE compares English words without their endings; no, unless said, as in rouge-score. */
  stemming?: boolean
  /** `exactMatch` compares in lower case without punctuation and articles; yes, unless said. */
  normalized?: boolean
}

interface Part {
  metric: TextMetric
  measure: TextMeasure
  /** Where its sums begin. */
  at: number
}

class TextScores implements ScoredUnits {
  readonly #parts: Part[]
  readonly #width: number
  /** Row after row, one for each pair. */
  readonly #numbers: Float64Array
  readonly units: number

  constructor(pairs: readonly TextPair[], { metrics, stemming = false, normalized = true }: ScoreTextsOptions) {
    let width = 0
    this.#parts = metrics.map((metric) => {
      const measure = textMetrics[metric].create({ stemming, normalized })
      const part = { metric, measure, at: width }
      width += measure.width
      return part
    })
    this.#width = width
    this.units = pairs.length
    this.#numbers = new Float64Array(width * pairs.length)
    pairs.forEach((pair, i) => {
      for (const { measure, at } of this.#parts) this.#numbers.set(measure.measure(pair), i * width + at)
    })
  }

  #sums(counts?: ArrayLike<number>): { sums: Float64Array; units: number } {
    const [numbers, width] = [this.#numbers, this.#width]
    const sums = new Float64Array(width)
    let units = 0
    for (let i = 0; i < this.units; i++) {
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
    for (const { measure, at } of this.#parts)
      Object.assign(scores, measure.scores(sums.subarray(at, at + measure.width), units))
    return scores
  }

  details(): { [name: string]: unknown } {
    const { sums, units } = this.#sums()
    return Object.fromEntries(
      this.#parts.flatMap(({ metric, measure, at }) => {
        const details = measure.details?.(sums.subarray(at, at + measure.width), units)
        return details === undefined ? [] : [[metric, details]]
      }),
    )
  }
}

/**
 * Scores predictions by each metric's official rules: ROUGE, matches and F as shares, BLEU and chrF from 0 to 100. `details` has
 * precision and recall of ROUGE and the signatures of BLEU and chrF.
 * @throws ConfigError for no or an unknown metric, or a pair without references
 */
export const scoreTexts = (pairs: readonly TextPair[], options: ScoreTextsOptions): ScoredUnits => {
  const { metrics } = options
  if (metrics.length === 0) throw new ConfigError('Expected at least one of the metrics for `metrics`, got none.')
  for (const metric of metrics)
    if (!Object.hasOwn(textMetrics, metric))
      throw new ConfigError(
        `Expected one of ${textMetricNames.join(', ')} for \`metrics\`, got "${metric}".${didYouMean(metric, textMetricNames)}`,
      )
  pairs.forEach(({ references }, i) => {
    if (references.length === 0) throw new ConfigError(`Expected at least one reference for \`pairs[${i}]\`, got none.`)
  })
  return new TextScores(pairs, { ...options, metrics: [...new Set(metrics)] })
}
