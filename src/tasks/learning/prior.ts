// The initial bias of a new head: the logits that fit the training targets best without looking at the input. From a bias of zero
// the first steps learn the class frequencies through the body, and an adapter's high learning rate then collapses all hidden states.
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
