// What linear learners share: a weight for each feature and output, and a loss of the scores whose sum is lowered together with the squares
// of the weights. Knows no loss.
import { noGrad, scope, Tensor } from '../../tensor/index.ts'
import { type Evaluation, minimize } from '../lbfgs.ts'
import {
  expectTensor,
  type FeatureDataset,
  type FitHooks,
  type FittedLearner,
  type LearningProblem,
  scoreColumns,
} from '../learner.ts'

export interface Slopes {
  /** Summed over the rows. */
  loss: number
  /** float64 [N,K]: how the loss changes with each score. */
  slope: Tensor
}

export interface LinearProblem {
  lesson: FeatureDataset
  /** Outputs that have weights of their own. */
  outputs: number
  /** The loss of scores float64 [N,K]. */
  loss(scores: Tensor): Slopes
  /** Second derivative of a row's loss by its score, about. */
  curvature: number
  /** Sum of the rows' weights. */
  totalWeight: number
  /** How much the loss counts beside half the squares of the weights. */
  strength: number
  /** Whether the constant counts among the squares. */
  shrinkConstant: boolean
  tolerance: number
  maxIterations: number
}

export interface LinearWeights {
  /** [K,C] */
  weight: Float64Array
  /** [K] */
  bias: Float64Array
}

export interface LinearMinimum extends LinearWeights {
  /** Loss and squares together, as sums. */
  value: number
}

export const doublesOf = (tensor: Tensor): Float64Array => tensor.toTypedArray() as Float64Array

/** float64 [N,K] of ones at what is right, and zeros. */
export const rightAnswers = ({ kind, answers }: FeatureDataset, columns: number): Float64Array => {
  if (kind === 'labels' || columns === 1) return answers
  const ones = new Float64Array(answers.length * columns)
  answers.forEach((answer, i) => {
    ones[i * columns + answer] = 1
  })
  return ones
}

/** The one minimum. Everything is divided by strength and weight, so that the tolerance means the same for any number of rows. */
export const fitLinear = async (problem: LinearProblem, hooks: FitHooks): Promise<LinearMinimum> => {
  const { lesson, outputs, curvature, totalWeight, strength, shrinkConstant } = problem
  const width = lesson.features.shape[1]
  // A constant that is not held small may move: centred features make the same minimum quicker to find.
  const { rows, means, squares } = noGrad(() =>
    scope(() => {
      const wide = lesson.features.to('float64')
      const middle = wide.mean(0)
      const centred = shrinkConstant ? wide : wide.sub(middle)
      return {
        rows: centred,
        means: shrinkConstant ? new Float64Array(width) : doublesOf(middle),
        squares: doublesOf(centred.square().sum(0)),
      }
    }),
  )
  const count = lesson.features.shape[0]
  const divisor = strength * totalWeight
  const evaluate = (at: Float64Array): Evaluation =>
    noGrad(() =>
      scope(() => {
        const weight = Tensor.from(at.subarray(0, outputs * width), { shape: [outputs, width] })
        const bias = Tensor.from(at.subarray(outputs * width))
        const { loss, slope } = problem.loss(rows.matmul(weight.t()).add(bias))
        const gradient = new Float64Array(at.length)
        gradient.set(doublesOf(slope.t().matmul(rows).contiguous()))
        gradient.set(doublesOf(slope.sum(0)), outputs * width)
        const shrunk = shrinkConstant ? at.length : outputs * width
        let squared = 0
        for (let i = 0; i < at.length; i++) {
          gradient[i] = (strength * gradient[i] + (i < shrunk ? at[i] : 0)) / divisor
          if (i < shrunk) squared += at[i] * at[i]
        }
        return { value: (strength * loss + squared / 2) / divisor, gradient }
      }),
    )
  const mean = totalWeight / count
  const scale = Float64Array.from({ length: outputs * (width + 1) }, (_, i) => {
    const second = i < outputs * width ? squares[i % width] : count
    const shrunk = i < outputs * width || shrinkConstant ? 1 : 0
    return divisor / (strength * curvature * mean * second + shrunk + 1e-12)
  })
  try {
    const { tolerance, maxIterations } = problem
    const found = await minimize(evaluate, new Float64Array(scale.length), {
      tolerance,
      maxIterations,
      scale,
      signal: hooks.signal,
    })
    if (!found.converged)
      hooks.onNote?.(
        `The learner stopped after ${found.iterations} rounds, with a slope of ${Math.max(...found.gradient.map(Math.abs)).toExponential(1)} left; \`tolerance\` is ${tolerance}.`,
      )
    const weight = found.at.slice(0, outputs * width)
    const bias = found.at.slice(outputs * width)
    for (let k = 0; k < outputs; k++) for (let j = 0; j < width; j++) bias[k] -= weight[k * width + j] * means[j]
    return { weight, bias, value: found.value * divisor }
  } finally {
    rows.free()
  }
}

/** Weights [K,C] and bias [K] as what scores rows; one output of two classes scores the second against 0. */
export const linearScores = (
  weight: Tensor,
  bias: Tensor,
  { kind, outputs }: LearningProblem,
  loss?: number,
): FittedLearner => {
  const alone = kind === 'class' && weight.shape[0] === 1
  return {
    tensors: new Map([
      ['weight', weight],
      ['bias', bias],
    ]),
    parameterCount: weight.size + bias.size,
    loss,
    scores: (features) =>
      scope(() => {
        const scores = features.matmul(weight.t()).add(bias)
        if (!alone) return scores
        return scores.mul(Tensor.from(Float32Array.of(0, 1), { shape: [1, outputs] }))
      }),
  }
}

export const keptLinear = ({ weight, bias }: LinearWeights, problem: LearningProblem, loss?: number): FittedLearner => {
  const outputs = bias.length
  const [w, b] = [
    Tensor.from(Float32Array.from(weight), { shape: [outputs, weight.length / outputs] }),
    Tensor.from(Float32Array.from(bias)),
  ]
  return linearScores(w.keep(), b.keep(), problem, loss)
}

export const openLinear = (tensors: ReadonlyMap<string, Tensor>, problem: LearningProblem): FittedLearner => {
  const weight = expectTensor(tensors, 'weight', [scoreColumns(problem), -1])
  return linearScores(weight, expectTensor(tensors, 'bias', [weight.shape[0]]), problem)
}
