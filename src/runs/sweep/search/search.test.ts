// Searches on functions that cost nothing: densities against values computed by hand, and TPE against random search.
import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../core/index.ts'
import { extremePoints, lineOf, parseRange, pointCount, randomPoint, rangeFaults, type SearchAxis } from '../points.ts'
import { nextHalvingJob, rungsOf } from './methods.ts'
import { choiceProbabilities, type Observation, ParzenEstimator, tpePoint } from './parzen.ts'

describe('a range', () => {
  it('is read from text', () => {
    expect(parseRange('1e-5..1e-2:log')).toEqual({ low: 1e-5, high: 1e-2, scale: 'log' })
    expect(parseRange('4..64:int:log')).toEqual({ low: 4, high: 64, scale: 'log', integer: true })
    expect(parseRange('-.5..0.5')).toEqual({ low: -0.5, high: 0.5 })
    for (const text of ['1e-4,1e-3', '../a', '1..2:ln', '..', 'a..b']) expect(parseRange(text)).toBeUndefined()
  })

  it('names what is wrong with it', () => {
    expect(rangeFaults('x', { low: 2, high: 1 })[0]).toMatch(/lower to a higher.*`over.x`, got 2..1/)
    expect(rangeFaults('x', { low: 0, high: 1, scale: 'log' })[0]).toMatch(/above 0/)
    expect(rangeFaults('x', { low: 0.5, high: 1, integer: true })[0]).toMatch(/whole numbers/)
    expect(rangeFaults('x', { low: 0, high: 1, step: 1 } as never)[0]).toMatch(/got `step`/)
  })

  it('gives every integer the same share of a line, and its ends too', () => {
    const random = createRandom(3)
    const space = { rank: { low: 1, high: 4, integer: true } }
    const counts = [0, 0, 0, 0]
    for (let i = 0; i < 4000; i++) counts[(randomPoint(space, random).rank as number) - 1]++
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(120)
    expect(pointCount({ ...space, way: ['a', 'b'] })).toBe(8)
    expect(extremePoints({ ...space, way: ['a', 'b'] })).toEqual([
      { rank: 1, way: 'a' },
      { rank: 3, way: 'a' },
      { rank: 4, way: 'a' },
      { rank: 1, way: 'a' },
      { rank: 1, way: 'b' },
    ])
  })
})

describe('the densities of TPE', () => {
  // A normal distribution by its own series, not by the one under test.
  const phi = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)

  it('are those of the paper for two observations', () => {
    // On [0, 1]: 0.2 and 0.6, and the prior at 0.5. Widths: 0.2 has neighbours 0 and 0.5, so 0.3; 0.6 has 0.5 and 1, so 0.4; the prior has 1.
    const estimate = new ParzenEstimator([0.2, 0.6], { low: 0, high: 1 })
    // Masses inside [0, 1], from a table of the normal distribution: Φ(8/3) − Φ(−2/3), Φ(1) − Φ(−1.5), Φ(0.5) − Φ(−0.5).
    const masses = [0.9961696 - 0.2524925, 0.8413447 - 0.0668072, 0.6914625 - 0.3085375]
    const at = 0.3
    const expected =
      (phi((at - 0.2) / 0.3) / 0.3 / masses[0] +
        phi((at - 0.6) / 0.4) / 0.4 / masses[1] +
        phi((at - 0.5) / 1) / masses[2]) /
      3
    expect(estimate.density({ low: at, high: at })).toBeCloseTo(expected, 6)
  })

  it('sum to one, over a line and over the cells of integers', () => {
    const estimate = new ParzenEstimator([0.1, 0.1, 0.9], { low: 0, high: 1 })
    expect(estimate.density({ low: 0, high: 1 })).toBeCloseTo(1, 12)
    const line = lineOf({ low: 1, high: 64, scale: 'log', integer: true })
    const own = new ParzenEstimator(
      [2, 8, 8].map((value) => Math.log(value)),
      line,
    )
    let sum = 0
    for (let value = 1; value <= 64; value++) sum += own.density(line.cell(value))
    expect(sum).toBeCloseTo(1, 12)
  })

  it('count choices, each once more', () => {
    expect(choiceProbabilities([0, 0, 2], 3)).toEqual([3 / 6, 1 / 6, 2 / 6])
  })
})

describe('TPE', () => {
  const space: Record<string, SearchAxis> = {
    rate: { low: 1e-6, high: 1, scale: 'log' },
    rank: { low: 1, high: 64, scale: 'log', integer: true },
    dropout: { low: 0, high: 0.9 },
    way: ['a', 'b', 'c', 'd'],
  }
  /** Lowest, 0, at rate 1e-3, rank 8, dropout 0.2 and way c. */
  const lossAt = ({ rate, rank, dropout, way }: Record<string, unknown>) =>
    Math.log10((rate as number) / 1e-3) ** 2 +
    0.3 * Math.log2((rank as number) / 8) ** 2 +
    10 * ((dropout as number) - 0.2) ** 2 +
    (way === 'c' ? 0 : 1)
  const settings = { startup: 10, candidates: 24, quantile: 0.15 }
  const bestOf = (seed: number, startup: number): number => {
    const done: Observation[] = []
    for (let i = 0; i < 40; i++) {
      const over = tpePoint(space, { ...settings, startup }, done, createRandom(seed).fork(`trial ${i}`))
      done.push({ over, loss: lossAt(over) })
    }
    return Math.min(...done.map(({ loss }) => loss))
  }

  it('finds better values than random search, over 40 seeds', () => {
    const seeds = Array.from({ length: 40 }, (_, seed) => seed)
    const pairs = seeds.map((seed) => [bestOf(seed, 10), bestOf(seed, 40)])
    const wins = pairs.filter(([tpe, random]) => tpe < random).length
    const median = (values: number[]) => values.sort((a, b) => a - b)[20]
    // By chance, 30 or more of 40 happen with a probability of 0.1 %.
    expect(wins).toBeGreaterThanOrEqual(30)
    expect(median(pairs.map(([tpe]) => tpe))).toBeLessThan(median(pairs.map(([, random]) => random)) / 2)
  })

  it('is a function of the seed and of what is finished, and learns nothing from failures but to avoid them', () => {
    expect(bestOf(7, 10)).toBe(bestOf(7, 10))
    expect(bestOf(7, 10)).not.toBe(bestOf(8, 10))
    const failures = Array.from({ length: 20 }, (_, i): Observation => {
      const over = randomPoint(space, createRandom(i))
      return { over, loss: (over.rate as number) > 1e-3 ? Number.POSITIVE_INFINITY : 1 + 0.01 * i }
    })
    const proposed = Array.from({ length: 20 }, (_, i) => tpePoint(space, settings, failures, createRandom(`f${i}`)))
    expect(proposed.filter(({ rate }) => (rate as number) > 1e-3).length).toBeLessThan(4)
  })
})

describe('successive halving', () => {
  /** Plays all jobs; the loss of a trial is its number, so that the first is the best. */
  const play = (trials: number, rungs: number, reduction: number, lossOf = (trial: number, _rung: number) => trial) => {
    const scores = Array.from({ length: rungs }, () => new Map<number, number>())
    const jobs: string[] = []
    for (let job = nextHalvingJob(scores, trials, reduction); job; job = nextHalvingJob(scores, trials, reduction)) {
      jobs.push(`${job.trial}@${job.rung}`)
      scores[job.rung].set(job.trial, lossOf(job.trial, job.rung))
    }
    return { jobs, counts: scores.map(({ size }) => size) }
  }

  it('multiplies the steps of its rungs up to those of the whole run', () => {
    expect(rungsOf(10, 100, 3)).toEqual([10, 30, 90, 100])
    expect(rungsOf(10, 90, 3)).toEqual([10, 30, 90])
  })

  it('promotes the best third of each rung as soon as it is known', () => {
    expect(play(9, 3, 3)).toEqual({
      jobs: ['0@0', '1@0', '2@0', '0@1', '3@0', '4@0', '5@0', '1@1', '6@0', '7@0', '8@0', '2@1', '0@2'],
      counts: [9, 3, 1],
    })
  })

  it('trains one trial to its end even if there are few, and none that failed', () => {
    expect(play(2, 3, 3).jobs).toEqual(['0@0', '1@0', '0@1', '0@2'])
    const failing = play(3, 3, 3, (trial, rung) => (trial === 0 && rung === 1 ? Number.POSITIVE_INFINITY : trial))
    expect(failing.jobs).toEqual(['0@0', '1@0', '2@0', '0@1', '1@1', '1@2'])
    expect(play(3, 2, 3, () => Number.POSITIVE_INFINITY).jobs).toEqual(['0@0', '1@0', '2@0'])
  })
})
