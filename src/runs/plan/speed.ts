// How fast this machine computes: measured in some steps of the run, remembered in the user's cache from earlier runs, or from a table of cards;
// the memory of the process that no plan sees; and what a planned time costs at the user's prices.
import { readFile } from 'node:fs/promises'
import { DataError, processorName, userCache, writeFileAtomic } from '../../core/index.ts'
import { deviceMemory, getThreads, processMemory } from '../../tensor/index.ts'
import { train } from '../../training/index.ts'
import type { BuiltRun, CommonRecipe, RunKind } from '../engine/run-kind.ts'
import { findAccelerator, usualUtilisation } from './machines.ts'
import { type RunPlan, trainingOf } from './plan-run.ts'

/** How fast a machine computes, and how that is known. */
export interface Speed {
  /** FLOP/s of a training step, of all processes together. */
  flopsPerSecond: number
  /** Number of processes (default: 1). */
  count?: number
  /** Seconds that the first steps take in addition, while code is compiled and memory is new (default: 0). */
  startSeconds?: number
  /** Relative error that its source has shown or that is assumed. */
  tolerance: number
  basis: 'measured' | 'calibrated' | 'table'
  /** What it was taken from, in words. */
  source: string
}

/** Prices and power: the user's are for one machine or graphics card. */
export interface Prices {
  /** Rent of the machine or card. */
  pricePerHour?: number | undefined
  /** Power of the machine or card. */
  watts?: number | undefined
  pricePerKilowattHour?: number | undefined
}

/** What a run costs. */
export interface RunCosts {
  seconds: number
  /** Bounds of the time. */
  range: [number, number]
  /** Rent and energy, where a price is given. */
  money?: number
  kilowattHours?: number
}

/** Prices of several machines or cards together, from those of one. Energy has the same price for all. */
export const pricesOfAll = ({ pricePerHour, watts, pricePerKilowattHour }: Prices, count: number): Prices => ({
  pricePerHour: pricePerHour && count * pricePerHour,
  watts: watts && count * watts,
  pricePerKilowattHour,
})

/**
 * The costs of a time that was taken from a speed.
 * @param prices of all machines or cards together
 */
export const costsOf = (seconds: number, { tolerance }: Pick<Speed, 'tolerance'>, prices: Prices = {}): RunCosts => {
  const hours = seconds / 3600
  const kilowattHours = prices.watts === undefined ? undefined : (hours * prices.watts) / 1000
  const rent = prices.pricePerHour === undefined ? undefined : hours * prices.pricePerHour
  const energy =
    kilowattHours === undefined || prices.pricePerKilowattHour === undefined
      ? undefined
      : kilowattHours * prices.pricePerKilowattHour
  return {
    seconds,
    range: [seconds / (1 + tolerance), seconds * (1 + tolerance)],
    ...(rent === undefined && energy === undefined ? {} : { money: (rent ?? 0) + (energy ?? 0) }),
    ...(kilowattHours === undefined ? {} : { kilowattHours }),
  }
}

/** Limits that a run must stay within. */
export interface Limits {
  /** Bytes. */
  memory?: number
  hours?: number
  money?: number
}

/**
 * The longest time within limits of time and money, and the limit that binds; undefined without such limits.
 * @param prices of all machines or cards together
 */
export const affordableTime = (
  { hours, money }: Limits,
  speed: Speed,
  prices: Prices,
): { seconds: number; binds: 'hours' | 'money' } | undefined => {
  const perHour = costsOf(3600, speed, prices).money
  const byMoney = money === undefined || perHour === undefined ? Number.POSITIVE_INFINITY : money / perHour
  const byTime = hours ?? Number.POSITIVE_INFINITY
  const most = Math.min(byMoney, byTime)
  if (most === Number.POSITIVE_INFINITY) return undefined
  return { seconds: most * 3600, binds: byMoney < byTime ? 'money' : 'hours' }
}

/** What a run on this machine showed. */
export interface Calibration {
  processor: string
  threads: number
  precision: string
  flopsPerSecond: number
  /** Operations of a token: runs of models of similar size have similar speeds. */
  flopsPerToken?: number
  /** Memory of the process beside what a plan counts, in bytes. */
  marginBytes?: number
  /** The finished run that it was learned from; undefined for steps that `measure` timed. */
  run?: string
  time: string
}

/** Calibrations that are kept. */
const mostKept = 200

const calibrationFile = (): string => userCache('plan-calibrations.json')

const readCalibrations = async (): Promise<Calibration[]> => {
  try {
    const list = JSON.parse(await readFile(calibrationFile(), 'utf8')) as unknown
    return Array.isArray(list) ? list : []
  } catch {
    // A missing or damaged file of the cache counts as nothing known.
    return []
  }
}

/** Stores what runs on this machine showed, in place of what the same runs showed before. Keeps the last 200. */
export const rememberCalibrations = async (
  learned: readonly Omit<Calibration, 'processor' | 'time'>[],
): Promise<void> => {
  const path = calibrationFile()
  const time = new Date().toISOString()
  const runs = new Set(learned.map(({ run }) => run).filter((run) => run !== undefined))
  const earlier = (await readCalibrations()).filter(({ run }) => run === undefined || !runs.has(run))
  const all = [...earlier, ...learned.map((one) => ({ processor: processorName(), ...one, time }))]
  await writeFileAtomic(path, `${JSON.stringify(all.slice(-mostKept), null, 2)}\n`)
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)]

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`

/** Calibrations that a speed is taken from: those of the most similar models. */
const neighbours = 5

/** How many times more or less work for a token two models have. */
const ratioOf = (a: number, b: number): number => Math.max(a / b, b / a)

/** The speed that earlier runs had on this machine, by those with models of similar size; undefined where none is known. */
export const rememberedSpeed = async (precision: string, flopsPerToken: number): Promise<Speed | undefined> => {
  const here = (await readCalibrations()).filter(
    (one) => one.processor === processorName() && one.threads === getThreads() && one.precision === precision,
  )
  if (here.length === 0) return undefined
  const distance = (one: Calibration) => ratioOf(one.flopsPerToken ?? flopsPerToken, flopsPerToken)
  // Of equally similar ones the latest.
  const nearest = [...here]
    .reverse()
    .sort((a, b) => distance(a) - distance(b))
    .slice(0, neighbours)
  const speeds = nearest.map(({ flopsPerSecond }) => flopsPerSecond)
  const speed = median(speeds)
  const spread = Math.max(Math.max(...speeds) / speed, speed / Math.min(...speeds)) - 1
  // Small models are slower: the speed of one does not carry far.
  const far = distance(nearest[0]) > 4 ? 0.5 : 0
  const finished = nearest.filter(({ run }) => run !== undefined).length
  const [runs, timed] = [plural(finished, 'finished run'), plural(nearest.length - finished, 'measurement')]
  const what = finished === 0 ? timed : finished === nearest.length ? runs : `${runs} and ${timed}`
  return {
    flopsPerSecond: speed,
    tolerance: Math.max(0.15, spread, far),
    basis: 'calibrated',
    source: `${what} on this machine`,
  }
}

/** Memory that code and buffers of the kernels take once they have run, where nothing is known. */
const usualMargin = 20e6

/** Memory of the process that plans do not see, by finished runs on this machine. */
const rememberedMargin = async (): Promise<number> => {
  const known = (await readCalibrations())
    .filter(({ processor }) => processor === processorName())
    .flatMap(({ marginBytes }) => (marginBytes === undefined ? [] : [marginBytes]))
  return known.length === 0 ? usualMargin : median(known)
}

/** What a run takes on its device beside the tensors of its plan: what this process holds already, and what code and buffers of the kernels take later. */
export const unplannedMemory = async (device: string): Promise<{ processBytes: number; marginBytes: number }> => ({
  processBytes: processMemory(device),
  marginBytes: deviceMemory(device) === undefined ? await rememberedMargin() : 0,
})

/** The speed of a card by its data sheet. @throws ConfigError for an unknown card */
export const tableSpeed = (
  { gpu, count = 1, utilisation = usualUtilisation }: { gpu: string; count?: number; utilisation?: number },
  precision: CommonRecipe['precision'],
): Speed => {
  const card = findAccelerator(gpu)
  // Cards multiply matrices in both 16-bit formats at the same speed.
  const peak = card[precision === 'float32' ? precision : 'bfloat16']
  return {
    flopsPerSecond: count * utilisation * peak,
    count,
    tolerance: 0.5,
    basis: 'table',
    source: `${count} × ${card.name} at ${Math.round(100 * utilisation)} % of ${peak / 1e12} TFLOP/s (${card.source})`,
  }
}

/** The speed of several processes that each have a machine like this one. */
export const timesCount = (speed: Speed, count: number): Speed =>
  count === 1
    ? speed
    : {
        ...speed,
        flopsPerSecond: count * speed.flopsPerSecond,
        count,
        source: `${count} processes with the speed of ${speed.source}`,
      }

/** Steps that are timed after the first: two, or as many as fit into the seconds, as short ones are slow until V8 has compiled them. */
const timed = { least: 2, most: 80, seconds: 4 }
/** Steps that may be slower than those after them. */
const startingSteps = 8

/** Times a whole rollout with the steps on it: it is not known before how long answers are, and they are written token by token. */
const measureRollout = async (run: BuiltRun, plan: RunPlan, steps: number): Promise<Speed> => {
  const length = { timed: false, totalSteps: () => steps, done: ({ step }: { step: number }) => step >= steps }
  const started = performance.now()
  const events = train({ ...trainingOf(run), length })
  while ((await events.next()).done !== true);
  return {
    flopsPerSecond: (1000 * steps * plan.flopsPerStep) / (performance.now() - started),
    tolerance: 0.3,
    basis: 'measured',
    source: `a rollout and its ${steps === 1 ? 'step' : `${steps} steps`} on this machine`,
  }
}

/**
 * Builds the run, takes some steps and times those after the first, without the earlier half of many; of a run that makes its examples
 * itself, the steps on those that it makes first. Writes no files of the run.
 */
export const measureSpeed = async (kind: RunKind, recipe: CommonRecipe, plan: RunPlan): Promise<Speed> => {
  const run = await kind.build(recipe, { say: () => {}, unrecorded: true })
  try {
    if (plan.rollouts !== undefined) return await measureRollout(run, plan, plan.rollouts.steps)
    const all: { tokens: number; seconds: number }[] = []
    const steps: typeof all = []
    let total = 0
    const isEnough = () => steps.length >= timed.most || (steps.length >= timed.least && total >= timed.seconds)
    const length = { timed: false, totalSteps: () => timed.most + 1, done: isEnough }
    for await (const event of train({ ...trainingOf(run), length })) {
      if (event.type !== 'step') continue
      const step = { tokens: event.tokensPerSecond * event.seconds, seconds: event.seconds }
      all.push(step)
      if (event.step === 1) continue
      steps.push(step)
      total += event.seconds
    }
    if (steps.length === 0) throw new DataError('The run has one step only: nothing can be timed after it.')
    const warm = steps.slice(steps.length < 2 * timed.least ? 0 : Math.floor(steps.length / 2))
    const flopsPerToken = plan.flopsPerStep / plan.tokensPerStep
    const speeds = warm.map(({ tokens, seconds }) => (flopsPerToken * tokens) / seconds).sort((a, b) => a - b)
    // What else runs on the machine slows some steps, and speeds none up.
    const middle = speeds.slice(Math.floor((speeds.length - 1) / 2), Math.floor(speeds.length / 2) + 1)
    const median = middle.reduce((sum, speed) => sum + speed, 0) / middle.length
    // As that of a mean of so many.
    const spread = (speeds[speeds.length - 1] / speeds[0] - 1) / Math.sqrt(speeds.length)
    // What is remembered is the speed of the CPU.
    if (recipe.device === 'cpu')
      await rememberCalibrations([
        { threads: getThreads(), precision: recipe.precision, flopsPerSecond: median, flopsPerToken },
      ])
    // What the first steps took beyond what they would have later on.
    const excess = all
      .slice(0, startingSteps)
      .reduce((sum, { tokens, seconds }) => sum + seconds - (flopsPerToken * tokens) / median, 0)
    return {
      flopsPerSecond: median,
      startSeconds: Math.max(0, excess),
      tolerance: Math.max(0.1, spread),
      basis: 'measured',
      source: `${warm.length === 1 ? '1 step' : `${warm.length} steps`} on this machine`,
    }
  } finally {
    run.close()
  }
}
