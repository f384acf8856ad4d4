// What is known of predictions once they were held against what is right: scores of all units, or of any draw of them, so that
// intervals and tests of significance are the same for every metric. Knows no metric.

/** Values by name. */
export interface Scores {
  [metric: string]: number
}

export interface ScoredUnits {
  /** Records that were judged. */
  readonly units: number
  /** The scores when unit i counts `counts[i]` times; once each unless given. */
  scores(counts?: ArrayLike<number>): Scores
  /** What is more than a number, such as a confusion matrix; of all units. */
  details(): { [name: string]: unknown }
}
