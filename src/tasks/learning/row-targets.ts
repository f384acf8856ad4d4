// What a task asks of a learner of features: an answer for each sequence, or for each token that is asked. Knows no task and no learner.
import type { TaskExample } from '../task.ts'

/** One of `outputs` classes, any of them at once, a number, or which of the sequences of an example is right. */
export type TargetKind = 'class' | 'labels' | 'number' | 'choice'

export interface RowTargets<Example extends TaskExample = TaskExample> {
  kind: TargetKind
  /** Logits of a row. */
  outputs: number
  /** Tokens that are asked, each a row; without it, a sequence is a row, or the two of a pair that stand apart. */
  positions?(example: Example): Uint32Array
  /**
   * Of each row in turn: the number of the class; `outputs` zeros and ones of `labels`; the number; 1 for the right choice and 0 for the
   * others. NaN where it is not known.
   */
  targets(example: Example): ArrayLike<number>
  /** How much each class counts, or the yes of each label. */
  weights?: Float32Array
}
