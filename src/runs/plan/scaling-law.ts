// The loss of a model by its size and its tokens, L(N, D) = E + A / N^alpha + B / D^beta, fitted to finished runs. Pure arithmetic.
// Few small runs do not decide both exponents: a law that fits them to 0.4 % may be far off at ten times their operations. So the
// exponents are expected near the published ones, and the law to be wrong by some percent itself (docs/results/planner.md has what each
// way of fitting missed). Intervals are those of a bootstrap over the residuals and the expected exponents.
import { createRandom, DataError } from '../../core/index.ts'

/** A finished run. */
export interface ScalingPoint {
  /** Parameters, or operations of a token divided by six. */
  size: number
  tokens: number
  loss: number
}

/** The constants of L(N, D). */
export interface ScalingLaw {
  /** Loss of an infinite model with infinite data. */
  irreducible: number
  sizeFactor: number
  sizeExponent: number
  tokenFactor: number
  tokenExponent: number
}

/** A value with the bounds of its interval. */
export interface Bounded {
  value: number
  low: number
  high: number
}

/** A fitted law. */
export interface ScalingFit {
  law: ScalingLaw
  /** Root mean square of the relative errors of the fitted runs. */
  error: number
  /** Laws of the bootstrap samples. */
  samples: ScalingLaw[]
  /** Share of the bootstrap samples within an interval. */
  confidence: number
}

/** The loss that a law gives. */
export const lossOf = (law: ScalingLaw, { size, tokens }: Pick<ScalingPoint, 'size' | 'tokens'>): number =>
  law.irreducible + law.sizeFactor / size ** law.sizeExponent + law.tokenFactor / tokens ** law.tokenExponent

/** The size and the tokens with the lowest loss for a number of operations, C = 6 N D. */
export const optimalSplit = (law: ScalingLaw, flops: number): { size: number; tokens: number } => {
  const { sizeFactor: a, sizeExponent: alpha, tokenFactor: b, tokenExponent: beta } = law
  const balance = ((alpha * a) / (beta * b)) ** (1 / (alpha + beta))
  const size = balance * (flops / 6) ** (beta / (alpha + beta))
  return { size, tokens: flops / 6 / size }
}

/** The constants as they are fitted: logarithms of A, B, E and the exponents, over centred logarithms of size and tokens. */
type Parameters = [a: number, b: number, e: number, alpha: number, beta: number]

interface Row {
  n: number
  d: number
  log: number
}

/** Relative error of the law itself, beyond which a run counts less. */
const lawError = 0.02
/** Logarithms of the expected exponents. @source arXiv:2203.15556, equation 10 */
const expectedExponents = [Math.log(0.34), Math.log(0.28)] as const
/** Standard deviation of those logarithms. It and the error of the law were chosen on five targets: docs/results/planner.md. */
const exponentSpread = 0.2

/** Predicted log loss, and its derivatives. */
const predict = ([a, b, e, alpha, beta]: Parameters, { n, d }: Row): { value: number; slopes: Parameters } => {
  const [sizePower, tokenPower] = [Math.exp(alpha) * n, Math.exp(beta) * d]
  const terms = [a - sizePower, b - tokenPower, e]
  const most = Math.max(...terms)
  const weights = terms.map((term) => Math.exp(term - most))
  const sum = weights[0] + weights[1] + weights[2]
  const [p, q, r] = weights.map((weight) => weight / sum)
  return { value: most + Math.log(sum), slopes: [p, q, r, -sizePower * p, -tokenPower * q] }
}

/** Square near zero, linear far from it. */
const pseudoHuber = (error: number): number => 2 * (Math.hypot(1, error) - 1)

const objective = (parameters: Parameters, rows: readonly Row[], expected: readonly number[]): number =>
  rows.reduce((sum, row) => sum + pseudoHuber((row.log - predict(parameters, row).value) / lawError), 0) +
  expected.reduce((sum, one, i) => sum + ((parameters[3 + i] - one) / exponentSpread) ** 2, 0)

/** Solves a small linear system by elimination with pivots; undefined for a singular one. */
const solve = (matrix: number[][], right: readonly number[]): number[] | undefined => {
  const rows = matrix.map((row, i) => [...row, right[i]])
  const count = rows.length
  for (let column = 0; column < count; column++) {
    let pivot = column
    for (let i = column + 1; i < count; i++) if (Math.abs(rows[i][column]) > Math.abs(rows[pivot][column])) pivot = i
    if (Math.abs(rows[pivot][column]) < 1e-300) return undefined
    ;[rows[column], rows[pivot]] = [rows[pivot], rows[column]]
    for (let i = 0; i < count; i++) {
      if (i === column) continue
      const factor = rows[i][column] / rows[column][column]
      for (let j = column; j <= count; j++) rows[i][j] -= factor * rows[column][j]
    }
  }
  return rows.map((row, i) => row[count] / row[i])
}

/** Levenberg-Marquardt with the weights of the pseudo-Huber loss, from one start. */
const descend = (
  start: Parameters,
  rows: readonly Row[],
  expected: readonly number[],
): { parameters: Parameters; value: number } => {
  let parameters = start
  let value = objective(parameters, rows, expected)
  let damping = 1e-2
  for (let round = 0; round < 300 && damping < 1e12; round++) {
    const normal = Array.from({ length: 5 }, () => new Array<number>(5).fill(0))
    const right = new Array<number>(5).fill(0)
    for (const row of rows) {
      const { value: predicted, slopes } = predict(parameters, row)
      const error = row.log - predicted
      const weight = 1 / Math.hypot(1, error / lawError) / lawError ** 2
      for (let i = 0; i < 5; i++) {
        right[i] += weight * slopes[i] * error
        for (let j = 0; j < 5; j++) normal[i][j] += weight * slopes[i] * slopes[j]
      }
    }
    for (const [i, one] of expected.entries()) {
      right[3 + i] += (one - parameters[3 + i]) / exponentSpread ** 2
      normal[3 + i][3 + i] += 1 / exponentSpread ** 2
    }
    const damped = normal.map((row, i) => row.map((entry, j) => (i === j ? entry * (1 + damping) + 1e-12 : entry)))
    const step = solve(damped, right)
    if (step === undefined) break
    const next = parameters.map((one, i) => one + step[i]) as Parameters
    const reached = objective(next, rows, expected)
    if (reached < value) {
      const gain = value - reached
      ;[parameters, value] = [next, reached]
      damping = Math.max(1e-9, damping / 5)
      if (gain < 1e-16 * Math.max(1, value)) break
    } else damping *= 4
  }
  return { parameters, value }
}

interface Centre {
  n: number
  d: number
}

const rowsOf = (points: readonly ScalingPoint[]): { rows: Row[]; centre: Centre } => {
  const mean = (of: (point: ScalingPoint) => number) =>
    points.reduce((sum, point) => sum + Math.log(of(point)), 0) / points.length
  const centre = { n: mean(({ size }) => size), d: mean(({ tokens }) => tokens) }
  const rows = points.map(({ size, tokens, loss }) => ({
    n: Math.log(size) - centre.n,
    d: Math.log(tokens) - centre.d,
    log: Math.log(loss),
  }))
  return { rows, centre }
}

/** Starts that differ in how the loss is shared among the three terms. */
const starts = (rows: readonly Row[]): Parameters[] => {
  const mean = rows.reduce((sum, { log }) => sum + log, 0) / rows.length
  const shares = [0.05, 0.2, 0.45]
  return shares.flatMap((p) =>
    shares.map(
      (q): Parameters => [
        mean + Math.log(p),
        mean + Math.log(q),
        mean + Math.log(1 - p - q),
        expectedExponents[0],
        expectedExponents[1],
      ],
    ),
  )
}

const best = (
  rows: readonly Row[],
  from: readonly Parameters[],
  expected: readonly number[],
): { parameters: Parameters; value: number } =>
  from.map((start) => descend(start, rows, expected)).reduce((least, one) => (one.value < least.value ? one : least))

const lawOf = ([a, b, e, ...logs]: Parameters, { n, d }: Centre): ScalingLaw => {
  const [sizeExponent, tokenExponent] = logs.map(Math.exp)
  return {
    irreducible: Math.exp(e),
    sizeFactor: Math.exp(a + sizeExponent * n),
    sizeExponent,
    tokenFactor: Math.exp(b + tokenExponent * d),
    tokenExponent,
  }
}

/** Constants of the law, and so the fewest runs but one. */
const constants = 5
/** Sizes and numbers of tokens that tell an exponent from the irreducible loss. */
export const leastLevels = 3

const levels = (values: readonly number[]): number => {
  // Sizes within 2 % are one.
  const sorted = [...values].sort((a, b) => a - b)
  return sorted.filter((value, i) => i === 0 || value > 1.02 * sorted[i - 1]).length
}

/** @throws DataError for runs that cannot decide the constants, whatever their losses */
export const expectEnoughRuns = (points: readonly Omit<ScalingPoint, 'loss'>[]): void => {
  const sizes = levels(points.map(({ size }) => size))
  const budgets = levels(points.map(({ tokens }) => tokens))
  if (points.length > constants && sizes >= leastLevels && budgets >= leastLevels) return
  throw new DataError(
    `Expected at least ${constants + 1} runs of ${leastLevels} sizes and ${leastLevels} numbers of tokens to fit a scaling law, got ${points.length} of ${sizes} and ${budgets}. Add sizes or tokens to the grid.`,
  )
}

const expectLosses = (points: readonly ScalingPoint[]): void => {
  const broken = points.find(({ size, tokens, loss }) => !(size > 0 && tokens > 0 && loss > 0 && loss < 1e6))
  if (broken !== undefined)
    throw new DataError(
      `Expected positive finite losses, got ${broken.loss} for a run of ${broken.size} parameters and ${broken.tokens} tokens. Leave diverged runs out.`,
    )
}

/**
 * Fits the law to runs, with exponents near the published ones where the runs do not decide them.
 * @throws DataError for too few runs, or a loss that is not finite
 */
export const fitScalingLaw = (
  points: readonly ScalingPoint[],
  { resamples = 200, seed = 0, confidence = 0.95 }: { resamples?: number; seed?: number; confidence?: number } = {},
): ScalingFit => {
  expectLosses(points)
  expectEnoughRuns(points)
  const { rows, centre } = rowsOf(points)
  const { parameters } = best(rows, starts(rows), expectedExponents)
  const fitted = rows.map((row) => predict(parameters, row).value)
  // Few runs are fitted closer than the truth: residuals grow by the degrees of freedom.
  const spread = Math.sqrt(rows.length / (rows.length - constants))
  const residuals = rows.map(({ log }, i) => spread * (log - fitted[i]))
  const random = createRandom(`scaling/${seed}`)
  const samples = Array.from({ length: resamples }, () => {
    const drawn = rows.map((row, i) => ({ ...row, log: fitted[i] + residuals[random.integer(rows.length)] }))
    const expected = expectedExponents.map((one) => one + exponentSpread * random.normal())
    return lawOf(best(drawn, [parameters], expected).parameters, centre)
  })
  const squares = rows.reduce((sum, { log }, i) => sum + Math.expm1(fitted[i] - log) ** 2, 0)
  return { law: lawOf(parameters, centre), error: Math.sqrt(squares / rows.length), samples, confidence }
}

/** What follows from a fit, with the interval of the bootstrap samples. */
export const boundedBy = ({ law, samples, confidence }: ScalingFit, of: (law: ScalingLaw) => number): Bounded => {
  const value = of(law)
  const sorted = samples
    .map(of)
    .filter(Number.isFinite)
    .sort((a, b) => a - b)
  if (sorted.length === 0) return { value, low: Number.NaN, high: Number.NaN }
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
  return { value, low: at((1 - confidence) / 2), high: at((1 + confidence) / 2) }
}
