// A run within limits of memory, time and money: the micro-batch, then recomputation and precision, then fewer steps.
import { ConfigError, formatBytes } from '../../core/index.ts'
import type { CommonRecipe, RunKind } from '../engine/run-kind.ts'
import { variantFamily } from '../finetune/recipe.ts'
import type { Network } from './machines.ts'
import { type PlanContext, planBuiltRun, type RunPlan } from './plan-run.ts'
import { affordableTime, costsOf, type Limits, type Prices, type Speed } from './speed.ts'
import { stepTime } from './step-time.ts'

/** A run within limits. */
export interface Fit {
  /** Settings of the recipe that change. */
  changes: Record<string, unknown>
  plan: Omit<RunPlan, 'timeline'>
  /** Limits that decide these settings. */
  binds: string[]
  /** Steps and tokens of the run within the limits of time and money, where there are any. */
  steps?: number
  tokens?: number
  /** Hours and money that the limits leave, where the run takes less. */
  left?: { hours?: number; money?: number }
  /** Speed of the changed run, where it has another precision or method. */
  speed?: Speed
  /** What the run is predicted to take of the memory that was limited: the process on the CPU, a card otherwise. */
  memoryBytes?: number
}

interface Candidate {
  changes: Record<string, unknown>
  recipe: CommonRecipe
}

/** Ways to less memory, from those that cost the least. @param shares whether processes can share state and weights */
const candidates = (recipe: CommonRecipe, shares: boolean): Candidate[] => {
  const result: Candidate[] = []
  const { microTokens } = recipe.batch
  const change = (changes: Record<string, unknown>, parts: Partial<CommonRecipe>) =>
    result.push({ changes, recipe: { ...recipe, ...parts } })
  change({}, {})
  for (let most = Math.floor(microTokens / 2); most >= 256; most = Math.floor(most / 2))
    change({ 'batch.microTokens': most }, { batch: { ...recipe.batch, microTokens: most } })
  const small = Math.min(microTokens, 1024)
  const shards = shares && recipe.shard === 'none' ? (['optimizer', 'gradients', 'parameters'] as const) : []
  for (const shard of shards) change({ shard }, { shard })
  const least = (more: Record<string, unknown> = {}) =>
    change(
      { 'batch.microTokens': small, recompute: 'all', ...more },
      { batch: { ...recipe.batch, microTokens: small }, recompute: 'all', ...more },
    )
  least()
  for (const shard of shards) least({ shard })
  if (recipe.precision === 'float32') least({ precision: 'bfloat16' })
  const { variant } = recipe as { variant?: string }
  if (variant !== undefined && variantFamily(variant) === 'full') least({ variant: 'lora' })
  return result
}

/** Settings as words: `batch.microTokens 1024 and recompute all`. */
export const describeChanges = (changes: Record<string, unknown>): string =>
  Object.entries(changes)
    .map(([name, value]) => `${name} ${value}`)
    .join(' and ')

/** The first change of the recipe whose plan fits; undefined where none does. Changes that the run does not allow are left out. */
export const nearestFit = async (
  kind: RunKind,
  recipe: CommonRecipe,
  fits: (plan: RunPlan) => boolean,
  context: PlanContext = {},
): Promise<(Candidate & { plan: RunPlan }) | undefined> => {
  // Another method may encode the records otherwise: it shares nothing.
  const { shared: _, ...own } = context
  for (const { changes, recipe: changed } of candidates(recipe, context.group !== undefined)) {
    try {
      const plan = await planBuiltRun(kind, changed, 'variant' in changes ? own : context)
      if (fits(plan)) return { changes, recipe: changed, plan }
    } catch (error) {
      if (Object.keys(changes).length === 0 || !(error instanceof ConfigError)) throw error
    }
  }
  return undefined
}

interface FitContext {
  limits: Limits
  speed: Speed | undefined
  /** The speed of another recipe of the same run. */
  speedOf(recipe: CommonRecipe, plan: RunPlan): Promise<Speed | undefined>
  network: Network | undefined
  prices: Prices
  machines: PlanContext
  /** What the process takes beside the memory that a plan counts, in bytes; 0 for a card by its data sheet. */
  unplannedBytes: number
}

/**
 * @param smallest memory that any of the planned settings takes
 * @throws ConfigError for less memory than that
 */
const refuseMemory = (limit: number, smallest: number, unplannedBytes: number): never => {
  const least = `Expected at least ${formatBytes(smallest)} for \`fit.memory\``
  if (unplannedBytes >= limit)
    throw new ConfigError(
      `${least}, got ${formatBytes(limit)}: the process takes about ${formatBytes(unplannedBytes)} before it has any tensors. Allow more.`,
    )
  const process = unplannedBytes === 0 ? '' : `, with about ${formatBytes(unplannedBytes)} of the process`
  throw new ConfigError(
    `${least}, which the smallest of the planned settings take${process}, got ${formatBytes(limit)}. Choose a smaller model or a method that trains less.`,
  )
}

/** Settings that the speed of a run depends on. */
const speedSettings = ['precision', 'variant']

/** Steps of a run within its limits, and what it leaves of them where it takes fewer than they allow. */
const stepsWithin = (
  { steps: planned = Number.POSITIVE_INFINITY }: RunPlan,
  { budget }: CommonRecipe,
  { limits, prices, speed }: Pick<FitContext, 'limits' | 'prices'> & { speed: Speed },
  stepSeconds: number,
): { steps: number; binds?: 'hours' | 'money'; left?: Fit['left'] } => {
  const affordable = affordableTime(limits, speed, prices)!
  const { startSeconds = 0 } = speed
  const allowed = Math.floor((affordable.seconds - startSeconds) / stepSeconds)
  if (allowed < 1)
    throw new ConfigError(
      `Expected more for \`fit.${affordable.binds}\`: one step takes ${(stepSeconds * 1000).toPrecision(3)} ms${startSeconds === 0 ? '' : ` and the start ${startSeconds.toPrecision(3)} s`}, which is over the limit. Choose a smaller batch.`,
    )
  const byTime = budget.minutes === undefined ? planned : Math.floor((60 * budget.minutes) / stepSeconds)
  const wanted = Math.min(planned, byTime)
  if (wanted > allowed) return { steps: allowed, binds: affordable.binds }
  const { seconds, money = 0 } = costsOf(wanted * stepSeconds + startSeconds, speed, prices)
  return {
    steps: wanted,
    left: {
      ...(limits.hours !== undefined && { hours: limits.hours - seconds / 3600 }),
      ...(limits.money !== undefined && { money: limits.money - money }),
    },
  }
}

/** @throws ConfigError for limits that no run stays within, which names the one that binds */
export const fitRun = async (
  kind: RunKind,
  recipe: CommonRecipe,
  planned: RunPlan,
  { limits, speed: askedSpeed, speedOf, network, prices, machines, unplannedBytes }: FitContext,
): Promise<Fit> => {
  const { memory } = limits
  const takenBy = (plan: RunPlan) => unplannedBytes + plan.memory.heldBytes
  let smallest = Number.POSITIVE_INFINITY
  const isWithin = (plan: RunPlan, limit: number) => {
    smallest = Math.min(smallest, takenBy(plan))
    return takenBy(plan) <= limit
  }
  const found =
    memory === undefined
      ? { changes: {}, recipe, plan: planned }
      : await nearestFit(kind, recipe, (plan) => isWithin(plan, memory), machines)
  if (found === undefined) return refuseMemory(memory!, smallest, unplannedBytes)
  const { timeline, ...plan } = found.plan
  const { changes } = found
  const binds = Object.keys(changes).length > 0 ? ['memory'] : []
  const taken = memory === undefined ? {} : { memoryBytes: takenBy(found.plan) }
  if (limits.hours === undefined && limits.money === undefined) return { changes, plan, binds, ...taken }
  const isOther = speedSettings.some((name) => name in changes)
  const speed = isOther ? await speedOf(found.recipe, found.plan) : askedSpeed
  if (speed === undefined)
    throw new ConfigError('`fit` by time or money needs the speed of the machine: add `measure`, or choose a `gpu`.')
  const time = stepTime({ ...plan, timeline }, speed, network)
  if (time === undefined)
    throw new ConfigError(
      '`fit` by time or money needs the network between the processes: set `interconnect`, or `bandwidth`.',
    )
  const within = stepsWithin(plan, found.recipe, { limits, prices, speed }, time.seconds)
  const { steps, binds: limit, left } = within
  return {
    changes: limit === undefined ? changes : { ...changes, 'budget.steps': steps },
    plan,
    ...taken,
    binds: limit === undefined ? binds : [...binds, limit],
    steps,
    ...(left && { left }),
    ...(isOther && { speed }),
    tokens: Math.floor(steps * plan.tokensPerStep),
  }
}
