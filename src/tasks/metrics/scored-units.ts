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
