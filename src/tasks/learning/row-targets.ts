// The targets that a task gives to classical learners on features: one for each sequence, or for each labelled token.
import type { TaskExample } from '../task.ts'

/** One of `outputs` classes, any number of labels, a number, or the right one among the sequences of an example. */
export type TargetKind = 'class' | 'labels' | 'number' | 'choice'

/** Rows of features and their targets. */
export interface RowTargets<Example extends TaskExample = TaskExample> {
  kind: TargetKind
  /** Logits per row. */
  outputs: number
  /** Positions of the labelled tokens, each a row. Undefined: each sequence is a row, or each pair of separate sequences. */
  positions?(example: Example): Uint32Array
  /**
   * Targets row by row: the class index; `outputs` zeros and ones for `labels`; the number; 1 for the right choice and 0 for the
   * others. NaN where it is not known.
   */
  targets(example: Example): ArrayLike<number>
  /** Choices: rows of the example of which the first is better. Undefined where the choices are not compared in pairs. */
  pairs?(example: Example): readonly (readonly [better: number, worse: number])[]
  /** Weight of each class, or of the positives of each label. */
  weights?: Float32Array
}
