// The initial bias of a new head: the logits that fit the training targets best without looking at the input. From a bias of zero
// the first steps learn the class frequencies through the body, and an adapter's high learning rate then collapses all hidden states.

import type { TaskExample } from '../task.ts'
import type { RowTargets, TargetKind } from './row-targets.ts'

type Targets = readonly ArrayLike<number>[]
type Prior = (targets: Targets, outputs: number, weights: Float32Array | undefined) => Float32Array

const known = (targets: Targets): number[] =>
  targets.flatMap((row) => Array.from(row).filter((target) => !Number.isNaN(target)))

// Laplace smoothing: each count begins at one.
const priors: { [Kind in TargetKind]: Prior } = {
  class(targets, outputs, weights) {
    const counts = new Float64Array(outputs).fill(1)
    for (const target of known(targets)) counts[target]++
    const weighed = counts.map((count, i) => count * (weights?.[i] ?? 1))
    const whole = weighed.reduce((sum, share) => sum + share, 0)
    return Float32Array.from(weighed, (share) => Math.log(share / whole))
  },
  labels(targets, outputs, weights) {
    const [yes, no] = [new Float64Array(outputs).fill(1), new Float64Array(outputs).fill(1)]
    for (const row of targets) for (let i = 0; i < row.length; i++) if (!Number.isNaN(row[i])) (row[i] ? yes : no)[i]++
    return Float32Array.from(yes, (count, i) => Math.log(((weights?.[i] ?? 1) * count) / no[i]))
  },
  number(targets, outputs) {
    const values = known(targets)
    return new Float32Array(outputs).fill(
      values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length,
    )
  },
  // All choices share one score, so that there is no prior.
  choice: (_, outputs) => new Float32Array(outputs),
}

/** float32 [outputs]: log frequencies of the classes, log odds of the labels, or the mean of the numbers, with the loss weights applied. */
export const priorLogits = <Example extends TaskExample>(
  { kind, outputs, weights, ...rows }: RowTargets<Example>,
  examples: readonly Example[],
): Float32Array =>
  priors[kind](
    examples.map((example) => rows.targets(example)),
    outputs,
    weights,
  )
