// The methods of a search: their settings, how they propose a trial, and how far they train it. Runs no model.
import { z } from 'zod'
import { ConfigError, parseConfig, type Random } from '../../../core/index.ts'
import { randomPoint, type SearchAxis } from '../points.ts'
import { type Observation, tpePoint } from './parzen.ts'

/** Steps up to which runs are trained before they are compared. */
export const rungsOf = (minSteps: number, maxSteps: number, reduction: number): number[] => {
  const rungs: number[] = []
  for (let steps = minSteps; steps < maxSteps; steps *= reduction) rungs.push(steps)
  return [...rungs, maxSteps]
}

/**
 * The next trial to be trained, and up to which rung: the best `1 / reduction` of a rung that has not been promoted, from the highest rung down; else a new trial. Once all trials
 * have begun, the best is trained to the end, also where they are too few for that.
 * @param scores losses by trial, of each rung; lower is better
 * @returns undefined when all is done
 */
export const nextHalvingJob = (
  scores: readonly ReadonlyMap<number, number>[],
  trials: number,
  reduction: number,
): { trial: number; rung: number } | undefined => {
  const last = scores.length - 1
  const best = (rung: number) =>
    [...scores[rung]]
      .filter(([, loss]) => loss < Number.POSITIVE_INFINITY)
      .sort(([a, lossA], [b, lossB]) => lossA - lossB || a - b)
      .map(([trial]) => trial)
  for (let rung = last - 1; rung >= 0; rung--) {
    const top = best(rung).slice(0, Math.floor(scores[rung].size / reduction))
    const trial = top.find((one) => !scores[rung + 1].has(one))
    if (trial !== undefined) return { trial, rung: rung + 1 }
  }
  if (scores[0].size < trials) return { trial: scores[0].size, rung: 0 }
  if (scores[last].size > 0) return undefined
  for (let rung = last - 1; rung >= 0; rung--) {
    const trial = best(rung).find((one) => !scores[rung + 1].has(one))
    if (trial !== undefined) return { trial, rung: rung + 1 }
  }
  return undefined
}

type Space = Readonly<Record<string, SearchAxis>>

const trials = z.int().positive().default(20).describe('trials: settings that are tried')
const seed = z.int().default(0).describe('random seed of the search')

/** A way of searching. */
interface SearchMethod<Settings> {
  schema: z.ZodType<Settings>
  /** The next point, a pure function of its arguments. */
  propose(space: Space, settings: Settings, finished: readonly Observation[], random: Random): Record<string, unknown>
  /** Steps up to which trials are trained before they are compared (default: each is trained to its end). */
  rungs?(settings: Settings, steps: number): number[]
}

const random = z.strictObject({ method: z.literal('random').describe('random values'), trials, seed })

const tpe = z.strictObject({
  method: z.literal('tpe').describe('tree-structured Parzen estimator (Bayesian)'),
  trials,
  seed,
  startup: z.int().positive().default(10).describe('trials with random values before the first estimate'),
  candidates: z.int().positive().default(24).describe('values of a key that each estimate chooses from'),
  quantile: z.number().gt(0).lt(1).default(0.15).describe('share of the finished trials that count as good'),
})

const asha = z.strictObject({
  method: z.literal('asha').describe('asynchronous successive halving of random values'),
  trials,
  seed,
  minSteps: z
    .int()
    .positive()
    .optional()
    .describe('steps of each trial before the first comparison (default: `budget.steps` / `reduction`²)'),
  reduction: z
    .int()
    .min(2)
    .default(3)
    .describe('the best 1/reduction of the trials are trained this many times as long'),
})

const grid = z.strictObject({ method: z.literal('grid').describe('every combination') })

/** The schema of the settings of a search. */
export const searchSchema = z.discriminatedUnion('method', [grid, random, tpe, asha]).default({ method: 'grid' })

/** Settings of a search; each method has its own. */
export type SearchInput = z.input<typeof searchSchema>

const define = <Settings>(method: SearchMethod<Settings>): SearchMethod<unknown> => method as SearchMethod<unknown>

const methods: Readonly<Record<string, SearchMethod<unknown>>> = {
  random: define<z.output<typeof random>>({
    schema: random,
    propose: (space, _settings, _finished, stream) => randomPoint(space, stream),
  }),
  tpe: define<z.output<typeof tpe>>({ schema: tpe, propose: tpePoint }),
  asha: define<z.output<typeof asha>>({
    schema: asha,
    propose: (space, _settings, _finished, stream) => randomPoint(space, stream),
    rungs({ minSteps, reduction }, steps) {
      const first = minSteps ?? Math.ceil(steps / reduction ** 2)
      if (first >= steps)
        throw new ConfigError(
          `Expected fewer steps for \`search.minSteps\` than \`budget.steps\` (${steps}), got ${first}. Lower it.`,
        )
      return rungsOf(first, steps, reduction)
    },
  }),
}

/** A search with its settings checked. */
export interface Search {
  settings: { method: string; trials: number; seed: number; reduction?: number }
  propose(space: Space, finished: readonly Observation[], random: Random): Record<string, unknown>
  rungs?(steps: number): number[]
}

/** The search of a sweep; undefined for a grid. @throws ConfigError for settings that the method does not have */
export const openSearch = (input: SearchInput | undefined): Search | undefined => {
  if (input === undefined || Object.keys(input).length === 0) return undefined
  if (input.method === undefined)
    throw new ConfigError('`search` needs a method: set `search.method` to random, tpe or asha.')
  const settings = parseConfig(searchSchema, input, 'search')
  const method = methods[settings.method]
  if (method === undefined) return undefined
  return {
    settings: settings as Search['settings'],
    propose: (space, finished, stream) => method.propose(space, settings, finished, stream),
    ...(method.rungs && { rungs: (steps: number) => method.rungs?.(settings, steps) ?? [] }),
  }
}
