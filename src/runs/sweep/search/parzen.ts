// The density estimators of TPE, and the choice of the point where they differ most.
import { normalDistribution, type Random } from '../../../core/index.ts'
import { isRange, type Line, lineOf, randomPoint, type SearchAxis } from '../points.ts'

/** What a finished trial gave. */
export interface Observation {
  over: Readonly<Record<string, unknown>>
  /** Lower is better; Infinity for a trial that failed. */
  loss: number
}

/** Most kernels by which the narrowest one is chosen. */
const maxKernels = 100
/** Draws outside the line in a row after which one is placed inside. */
const maxDraws = 100

/**
 * The density of observations on a line: an equal mixture of normal distributions that are cut off at its ends, one at each observation, as wide
 * as the greater distance to a neighbour, and one as wide as the line, in its middle.
 * @source Bergstra, Bardenet, Bengio and Kégl, Algorithms for Hyper-Parameter Optimization, NIPS 2011, section 4.2
 */
export class ParzenEstimator {
  readonly #line: Pick<Line, 'low' | 'high'>
  readonly #kernels: { mean: number; width: number; mass: number }[]

  constructor(observed: readonly number[], line: Pick<Line, 'low' | 'high'>) {
    const { low, high } = line
    const range = high - low
    const prior = { mean: (low + high) / 2, isPrior: true }
    const means = [...observed.map((mean) => ({ mean, isPrior: false })), prior].sort((a, b) => a.mean - b.mean)
    const narrowest = range / Math.min(maxKernels, 1 + means.length)
    this.#line = line
    this.#kernels = means.map(({ mean, isPrior }, i) => {
      const left = mean - (means[i - 1]?.mean ?? low)
      const right = (means[i + 1]?.mean ?? high) - mean
      const width = isPrior ? range : Math.min(range, Math.max(narrowest, left, right))
      const mass = normalDistribution((high - mean) / width) - normalDistribution((low - mean) / width)
      return { mean, width, mass }
    })
  }

  /** The probability of an interval of the line, or the density at a point. */
  density(at: { low: number; high: number }): number {
    const sum = this.#kernels.reduce((all, { mean, width, mass }) => {
      const [from, to] = [(at.low - mean) / width, (at.high - mean) / width]
      const own =
        at.low === at.high
          ? Math.exp((-from * from) / 2) / (Math.sqrt(2 * Math.PI) * width)
          : normalDistribution(to) - normalDistribution(from)
      return all + own / mass
    }, 0)
    return sum / this.#kernels.length
  }

  sample(random: Random): number {
    const { mean, width } = this.#kernels[random.integer(this.#kernels.length)]
    const { low, high } = this.#line
    for (let i = 0; i < maxDraws; i++) {
      const position = mean + width * random.normal()
      if (position >= low && position <= high) return position
    }
    return low + random.float() * (high - low)
  }
}

/** Probabilities of choices: how often each was observed, and once more. */
export const choiceProbabilities = (observed: readonly number[], choices: number): number[] => {
  const counts = new Array<number>(choices).fill(1)
  for (const choice of observed) counts[choice]++
  return counts.map((count) => count / (observed.length + choices))
}

/** Settings of TPE. */
interface TpeSettings {
  /** Trials with random values before the first that is estimated. */
  startup: number
  /** Values that each estimate chooses from. */
  candidates: number
  /** Share of the finished trials that count as good. */
  quantile: number
}

const indexOf = (values: readonly unknown[], value: unknown): number => {
  const text = JSON.stringify(value)
  return values.findIndex((one) => JSON.stringify(one) === text)
}

/**
 * The next point: for each key by itself, that of some values which is the most likely among good trials in proportion to the others.
 * @source Bergstra et al., NIPS 2011, section 4
 */
export const tpePoint = (
  space: Readonly<Record<string, SearchAxis>>,
  { startup, candidates, quantile }: TpeSettings,
  observations: readonly Observation[],
  random: Random,
): Record<string, unknown> => {
  if (observations.length < startup) return randomPoint(space, random)
  // Equal losses keep their order, so that the choice is the same after a stop.
  const sorted = observations.map((one, i) => ({ ...one, i })).sort((a, b) => compare(a.loss, b.loss) || a.i - b.i)
  const good = sorted.slice(0, Math.max(1, Math.ceil(quantile * sorted.length)))
  const bad = sorted.slice(good.length)
  return Object.fromEntries(
    Object.entries(space).map(([path, axis]) => {
      const values = (list: readonly Observation[]) => list.map(({ over }) => over[path])
      if (!isRange(axis)) {
        const [better, worse] = [good, bad].map((list) =>
          choiceProbabilities(
            values(list).map((value) => indexOf(axis, value)),
            axis.length,
          ),
        )
        const drawn = Array.from({ length: candidates }, () => sampleOf(better, random))
        return [path, axis[highest(drawn, (choice) => better[choice] / worse[choice])]]
      }
      const line = lineOf(axis)
      const [better, worse] = [good, bad].map((list) => {
        const cells = (values(list) as number[]).map((value) => line.cell(value))
        return new ParzenEstimator(
          cells.map(({ low, high }) => (low + high) / 2),
          line,
        )
      })
      const drawn = Array.from({ length: candidates }, () => line.value(better.sample(random)))
      const ratio = (value: number) => better.density(line.cell(value)) / worse.density(line.cell(value))
      return [path, highest(drawn, ratio)]
    }),
  )
}

/** Infinity minus Infinity is no number. */
const compare = (a: number, b: number): number => (a === b ? 0 : a < b ? -1 : 1)

const highest = <Item>(items: readonly Item[], score: (item: Item) => number): Item => {
  let [best, most] = [items[0], Number.NEGATIVE_INFINITY]
  for (const item of items) {
    const value = score(item)
    if (value > most) [best, most] = [item, value]
  }
  return best
}

const sampleOf = (probabilities: readonly number[], random: Random): number => {
  let left = random.float()
  for (const [i, probability] of probabilities.entries()) {
    left -= probability
    if (left < 0) return i
  }
  return probabilities.length - 1
}
