// The initial bias of a new head: the logits that fit the training targets best without looking at the input. From a bias of zero
// the first steps learn the class frequencies through the body, and an adapter's high learning rate then collapses all hidden states.

import type { TaskExample } from '../task.ts'
import type { RowTargets, TargetKind } from './row-targets.ts'

/** What is added up of the targets of examples: for each output two numbers, whose meaning the kind of target decides. */
export interface TargetSums {
  first: number[]
  second: number[]
}

interface Prior {
  /** Adds a target of a row; `at` is its place in the row. NaN is not added. */
  add(sums: TargetSums, target: number, at: number): void
  logits(sums: TargetSums, weights: Float32Array | undefined): ArrayLike<number>
}

// Laplace smoothing: each count begins at one.
const priors: { [Kind in TargetKind]: Prior } = {
  class: {
    add({ first: counts }, target) {
      counts[target]++
    },
    logits({ first: counts }, weights) {
      const weighed = counts.map((count, i) => (1 + count) * (weights?.[i] ?? 1))
      const whole = weighed.reduce((sum, share) => sum + share, 0)
      return weighed.map((share) => Math.log(share / whole))
    },
  },
  labels: {
    add({ first: yes, second: no }, target, at) {
      if (target) yes[at]++
      else no[at]++
    },
    logits: ({ first: yes, second: no }, weights) =>
      yes.map((count, i) => Math.log(((weights?.[i] ?? 1) * (1 + count)) / (1 + no[i]))),
  },
  number: {
    add({ first: sum, second: count }, target) {
      sum[0] += target
      count[0]++
    },
    logits: ({ first: sum, second: count }) => sum.map(() => (count[0] === 0 ? 0 : sum[0] / count[0])),
  },
  // All choices share one score, so that there is no prior.
  choice: { add() {}, logits: ({ first }) => first.map(() => 0) },
}

/** Sums of no targets. */
export const noTargets = ({ outputs }: Pick<RowTargets, 'outputs'>): TargetSums => ({
  first: Array<number>(outputs).fill(0),
  second: Array<number>(outputs).fill(0),
})

/** Adds the targets of an example. */
export const addTargets = <Example extends TaskExample>(
  { kind, ...rows }: Pick<RowTargets<Example>, 'kind' | 'targets'>,
  sums: TargetSums,
  example: Example,
): void => {
  const targets = rows.targets(example)
  const { add } = priors[kind]
  for (let i = 0; i < targets.length; i++) if (!Number.isNaN(targets[i])) add(sums, targets[i], i)
}

/** Adds sums of other examples. */
export const addSums = (sums: TargetSums, others: TargetSums): void => {
  others.first.forEach((value, i) => {
    sums.first[i] += value
    sums.second[i] += others.second[i]
  })
}

/** Sums as if every example came `factor` times. */
export const scaleSums = ({ first, second }: TargetSums, factor: number): TargetSums => ({
  first: first.map((value) => value * factor),
  second: second.map((value) => value * factor),
})

/** float32 [outputs]: log frequencies of the classes, log odds of the labels, or the mean of the numbers, with the loss weights applied. */
export const priorLogits = ({ kind, weights }: Pick<RowTargets, 'kind' | 'weights'>, sums: TargetSums): Float32Array =>
  Float32Array.from(priors[kind].logits(sums, weights))
