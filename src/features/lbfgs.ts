// Minimises a smooth convex function by L-BFGS with a diagonal scale.
// @source Nocedal and Wright, Numerical Optimization, 2nd edition, algorithms 7.4 and 3.5
import { setImmediate } from 'node:timers/promises'

/** The function's value and gradient at a point. */
export interface Evaluation {
  value: number
  gradient: Float64Array
}

/** Stopping rules and scale. */
export interface MinimizeOptions {
  /** Stop when no component of the gradient is larger. */
  tolerance: number
  maxIterations: number
  /** Estimate of the inverse second derivative along each axis. */
  scale: Float64Array
  signal?: AbortSignal | undefined
}

/** The point that was found. */
export interface Minimum extends Evaluation {
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
export const minimize = async (
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
