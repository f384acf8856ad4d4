// What linear learners share: weights for each feature and output, fitted by minimising the summed loss of the scores plus L2
// regularisation. Independent of the loss.
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

/** A loss and its gradient. */
export interface Slopes {
  /** Summed over the rows. */
  loss: number
  /** float64 [N,K]: gradient by the scores. */
  slope: Tensor
}

export interface LinearProblem {
  dataset: FeatureDataset
  /** Outputs with weights of their own. */
  outputs: number
  /** The loss of scores float64 [N,K]. */
  loss(scores: Tensor): Slopes
  /** Approximate second derivative of a row's loss by its score. */
  curvature: number
  /** Sum of the rows' weights. */
  totalWeight: number
  /** Factor of the loss against half the squared weights: scikit-learn's C. */
  strength: number
  /** Whether the intercept is regularised. */
  regularizeIntercept: boolean
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
  /** Loss plus regularisation, as sums. */
  value: number
}

export const doublesOf = (tensor: Tensor): Float64Array => tensor.toTypedArray() as Float64Array

/** Targets as float64 [N,K] of zeros and ones. */
export const oneHotTargets = ({ kind, answers }: FeatureDataset, columns: number): Float64Array => {
  if (kind === 'labels' || columns === 1) return answers
  const ones = new Float64Array(answers.length * columns)
  answers.forEach((answer, i) => {
    ones[i * columns + answer] = 1
  })
  return ones
}

/** The unique minimum. The objective is divided by strength and total weight, so that the tolerance is independent of the number of rows. */
export const fitLinear = async (problem: LinearProblem, hooks: FitHooks): Promise<LinearMinimum> => {
  const { dataset, outputs, curvature, totalWeight, strength, regularizeIntercept } = problem
  const width = dataset.features.shape[1]
  // With a free intercept, centred features have the same minimum and converge faster.
  const { rows, means, squares } = noGrad(() =>
    scope(() => {
      const wide = dataset.features.to('float64')
      const middle = wide.mean(0)
      const centred = regularizeIntercept ? wide : wide.sub(middle)
      return {
        rows: centred,
        means: regularizeIntercept ? new Float64Array(width) : doublesOf(middle),
        squares: doublesOf(centred.square().sum(0)),
      }
    }),
  )
  const count = dataset.features.shape[0]
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
        const shrunk = regularizeIntercept ? at.length : outputs * width
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
    const shrunk = i < outputs * width || regularizeIntercept ? 1 : 0
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
        `The learner did not converge in ${found.iterations} iterations: gradient ${Math.max(...found.gradient.map(Math.abs)).toExponential(1)}, \`tolerance\` ${tolerance}. Raise \`maxIterations\`.`,
      )
    const weight = found.at.slice(0, outputs * width)
    const bias = found.at.slice(outputs * width)
    for (let k = 0; k < outputs; k++) for (let j = 0; j < width; j++) bias[k] -= weight[k * width + j] * means[j]
    return { weight, bias, value: found.value * divisor }
  } finally {
    rows.free()
  }
}

/** A fitted learner from weights [K,C] and bias [K]; the single output of two classes is the second's score against 0. */
const linearScores = (
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

export const restoreLinear = (tensors: ReadonlyMap<string, Tensor>, problem: LearningProblem): FittedLearner => {
  const weight = expectTensor(tensors, 'weight', [scoreColumns(problem), -1])
  return linearScores(weight, expectTensor(tensors, 'bias', [weight.shape[0]]), problem)
}
