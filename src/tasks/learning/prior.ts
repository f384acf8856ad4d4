// The scores that answer every example best without reading any: what the bias of a new head begins with. From a bias of zero the
// first steps learn these through the body, which an adapter's high rate turns into one vector for every token. Knows no task.

import type { TaskExample } from '../task.ts'
import type { RowTargets, TargetKind } from './row-targets.ts'

type Answers = readonly ArrayLike<number>[]
type Prior = (answers: Answers, outputs: number, weights: Float32Array | undefined) => Float32Array

const known = (answers: Answers): number[] =>
  answers.flatMap((some) => Array.from(some).filter((answer) => !Number.isNaN(answer)))

// What does not occur counts as if once.
const priors: { [Kind in TargetKind]: Prior } = {
  class(answers, outputs, weights) {
    const counts = new Float64Array(outputs).fill(1)
    for (const answer of known(answers)) counts[answer]++
    const weighed = counts.map((count, i) => count * (weights?.[i] ?? 1))
    const whole = weighed.reduce((sum, share) => sum + share, 0)
    return Float32Array.from(weighed, (share) => Math.log(share / whole))
  },
  labels(answers, outputs, weights) {
    const [yes, no] = [new Float64Array(outputs).fill(1), new Float64Array(outputs).fill(1)]
    for (const some of answers)
      for (let i = 0; i < some.length; i++) if (!Number.isNaN(some[i])) (some[i] ? yes : no)[i]++
    return Float32Array.from(yes, (count, i) => Math.log(((weights?.[i] ?? 1) * count) / no[i]))
  },
  number(answers, outputs) {
    const values = known(answers)
    return new Float32Array(outputs).fill(
      values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length,
    )
  },
  // Choices are scored alike.
  choice: (_, outputs) => new Float32Array(outputs),
}

/** float32 [outputs]: logarithms of the classes' shares, log odds of the labels, the mean of the numbers; by the weights of the loss. */
export const priorLogits = <Example extends TaskExample>(
  { kind, outputs, weights, ...rows }: RowTargets<Example>,
  examples: readonly Example[],
): Float32Array =>
  priors[kind](
    examples.map((example) => rows.targets(example)),
    outputs,
    weights,
  )
