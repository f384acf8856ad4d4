// What linear learners share: weights for each feature and output, fitted by minimising the summed loss of the scores plus L2
// regularisation. Independent of the loss.
import { setImmediate } from 'node:timers/promises'
import { noGradScope, scope, Tensor } from '../../tensor/index.ts'
import {
  expectTensor,
  type FeatureDataset,
  type FitHooks,
  type FittedLearner,
  type LearningProblem,
  scoreColumns,
} from '../learner.ts'

// Minimises a smooth convex function by L-BFGS with a diagonal scale.
// @source Nocedal and Wright, Numerical Optimization, 2nd edition, algorithms 7.4 and 3.5

/** The function's value and gradient at a point. */
interface Evaluation {
  value: number
  gradient: Float64Array
}

/** Stopping rules and scale. */
interface MinimizeOptions {
  /** Stop when no component of the gradient is larger. */
  tolerance: number
  maxIterations: number
  /** Estimate of the inverse second derivative along each axis. */
  scale: Float64Array
  signal?: AbortSignal | undefined
}

/** The point that was found. */
interface Minimum extends Evaluation {
  at: Float64Array
  iterations: number
  converged: boolean
}

const memory = 20
/** Consecutive steps without a lower value before stopping. */
const mostIdle = 3

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}

const largest = (values: Float64Array): number => {
  let most = 0
  for (const value of values) most = Math.max(most, Math.abs(value))
  return most
}

/** The minimum from `start` on. */
const minimize = async (
  evaluate: (at: Float64Array) => Evaluation,
  start: Float64Array,
  { tolerance, maxIterations, scale, signal }: MinimizeOptions,
): Promise<Minimum> => {
  let at = start
  let { value, gradient } = evaluate(at)
  const steps: Float64Array[] = []
  const changes: Float64Array[] = []
  let iterations = 0
  let idle = 0
  for (; iterations < maxIterations && largest(gradient) > tolerance; iterations++) {
    await setImmediate()
    signal?.throwIfAborted()
    let direction = downhill(gradient, steps, changes, scale)
    let slope = dot(direction, gradient)
    if (!(slope < 0)) {
      // Rounding errors have accumulated: restart from steepest descent.
      steps.length = changes.length = 0
      direction = downhill(gradient, steps, changes, scale)
      slope = dot(direction, gradient)
    }
    const found = lineSearch(evaluate, { at, value, gradient }, direction, slope)
    // No step lowers the value: the precision of float64 is reached.
    if (found === undefined) break
    idle = found.value < value ? 0 : idle + 1
    if (idle === mostIdle) break
    const step = found.at.map((x, i) => x - at[i])
    const change = found.gradient.map((x, i) => x - gradient[i])
    if (dot(step, change) > 1e-300) {
      steps.push(step)
      changes.push(change)
      if (steps.length > memory) {
        steps.shift()
        changes.shift()
      }
    }
    ;({ at, value, gradient } = found)
  }
  return { at, value, gradient, iterations, converged: largest(gradient) <= tolerance }
}

/** The two-loop recursion: minus the inverse Hessian estimate times the gradient. */
const downhill = (
  gradient: Float64Array,
  steps: readonly Float64Array[],
  changes: readonly Float64Array[],
  scale: Float64Array,
): Float64Array => {
  const q = gradient.slice()
  const shares: number[] = []
  const add = (to: Float64Array, by: number, what: Float64Array) => {
    for (let i = 0; i < to.length; i++) to[i] += by * what[i]
  }
  for (let k = steps.length - 1; k >= 0; k--) {
    shares[k] = dot(steps[k], q) / dot(steps[k], changes[k])
    add(q, -shares[k], changes[k])
  }
  let factor = 1
  if (steps.length > 0) {
    const [step, change] = [steps.at(-1)!, changes.at(-1)!]
    let weighted = 0
    for (let i = 0; i < change.length; i++) weighted += change[i] * change[i] * scale[i]
    factor = dot(step, change) / weighted
  }
  for (let i = 0; i < q.length; i++) q[i] *= factor * scale[i]
  for (let k = 0; k < steps.length; k++) add(q, shares[k] - dot(changes[k], q) / dot(steps[k], changes[k]), steps[k])
  return q.map((x) => -x)
}

/** A step that meets the strong Wolfe conditions, or undefined where none lowers the value. */
const lineSearch = (
  evaluate: (at: Float64Array) => Evaluation,
  from: Evaluation & { at: Float64Array },
  direction: Float64Array,
  slope: number,
): (Evaluation & { at: Float64Array }) | undefined => {
  const tried = (length: number) => {
    const at = from.at.map((x, i) => x + length * direction[i])
    const evaluation = evaluate(at)
    return { at, ...evaluation, length, slope: dot(evaluation.gradient, direction) }
  }
  let [low, high] = [0, Number.POSITIVE_INFINITY]
  let length = 1
  let best: ReturnType<typeof tried> | undefined
  for (let i = 0; i < 30; i++) {
    const found = tried(length)
    if (!(found.value <= from.value + 1e-4 * length * slope)) high = length
    else {
      best = found
      if (Math.abs(found.slope) <= 0.9 * Math.abs(slope)) return found
      if (found.slope < 0) low = length
      else high = length
    }
    length = high === Number.POSITIVE_INFINITY ? 2 * length : (low + high) / 2
    if (high - low < 1e-12) break
  }
  return best
}

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
  const { rows, means, squares } = noGradScope(() => {
    const wide = dataset.features.to('float64')
    const middle = wide.mean(0)
    const centred = regularizeIntercept ? wide : wide.sub(middle)
    return {
      rows: centred,
      means: regularizeIntercept ? new Float64Array(width) : doublesOf(middle),
      squares: doublesOf(centred.square().sum(0)),
    }
  })
  const count = dataset.features.shape[0]
  const divisor = strength * totalWeight
  const evaluate = (at: Float64Array): Evaluation =>
    noGradScope(() => {
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
    })
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
