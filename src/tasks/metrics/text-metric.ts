// What a metric of texts is: numbers of each pair that may be summed over any draw of pairs, and scores from the sums. So a metric of
// whole corpora, such as BLEU, has intervals as any mean has. Knows no metric.
import type { Scores } from './scored-units.ts'

export interface TextPair {
  prediction: string
  /** At least one. */
  references: readonly string[]
}

export interface TextMetricOptions {
  /** ROUGE: compare English words without their endings. */
  stemming: boolean
  /** `exactMatch`: compare in lower case, without punctuation and articles. */
  normalized: boolean
}

export interface TextMeasure {
  /** How many numbers of each pair are summed. */
  width: number
  measure(pair: TextPair): ArrayLike<number>
  /** From the sums over pairs and how many those are; the name of the metric is the key of the main value. */
  scores(sums: Float64Array, units: number): Scores
  /** What is said beside the scores. */
  details?(sums: Float64Array, units: number): { [name: string]: unknown }
}

export interface TextMetricDefinition {
  /** One line for lists of metrics. */
  summary: string
  /** Where it is published. */
  source: string
  create(options: TextMetricOptions): TextMeasure
}
