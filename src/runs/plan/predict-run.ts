// The plan that every run makes of itself before it is built: what it will take, and whether the memory of the machine can hold it at all.
import { memoryUsage } from 'node:process'
import { ConfigError, formatBytes } from '../../core/index.ts'
import { PlannedGroup, type ProcessGroup } from '../../distributed/index.ts'
import { deviceMemory } from '../../tensor/index.ts'
import type { RunPrediction } from '../../tracking/index.ts'
import type { CommonRecipe, RunKind } from '../engine/run-kind.ts'
import { machineMemory } from '../engine/run-limits.ts'
import { describeChanges, nearestFit } from './fit.ts'
import { type PlanContext, planBuiltRun, plannedElsewhere, type RunPlan } from './plan-run.ts'
import { costsOf, rememberedSpeed, unplannedMemory } from './speed.ts'

/** Micro-batches of a step that are planned before a run: more take the same memory, and their FLOPs follow from their tokens. */
const plannedMicroBatches = 3

/** Seconds after which a plan before a run takes no second step, as for very deep models. */
const mostSeconds = 0.5

/** Seconds that rollouts may take: those of longer answers are planned by `plan align` only. */
const mostRolloutSeconds = 5

/** Memory for the tensors of a run in this process, on its device, and where the limit comes from. */
const roomOf = ({ memoryBudget, device }: CommonRecipe): { bytes: number; limit: string } => {
  const there = deviceMemory(device)
  const left =
    there === undefined
      ? { bytes: machineMemory() - memoryUsage.rss(), limit: 'that this machine has left for tensors' }
      : { bytes: there.free + there.cached, limit: `that ${there.device} has left` }
  return memoryBudget !== undefined && memoryBudget < left.bytes
    ? { bytes: memoryBudget, limit: 'of `memoryBudget`' }
    : left
}

/** What the loop does by itself when memory runs out: single examples, then all layers recomputed. */
const smallest = (recipe: CommonRecipe): CommonRecipe => ({
  ...recipe,
  batch: { ...recipe.batch, microTokens: 1 },
  recompute: 'all',
})

/**
 * Notes about a run whose first micro-batch does not fit, which the loop makes smaller.
 * @throws ConfigError for a run that does not fit even with one example at a time, which names the nearest change that fits
 */
const checkMemory = async (
  kind: RunKind,
  recipe: CommonRecipe,
  plan: RunPlan,
  context: PlanContext,
): Promise<string[]> => {
  const room = roomOf(recipe)
  const peakOf = ({ memory }: RunPlan) => memory.peakBytes
  const fits = (one: RunPlan) => peakOf(one) <= room.bytes
  if (fits(plan)) return []
  const least = await planBuiltRun(kind, smallest(recipe), { ...context, microBatches: 1 })
  const nearest = await nearestFit(kind, recipe, fits, context)
  const remedy = nearest === undefined ? undefined : describeChanges(nearest.changes)
  const needs = `${formatBytes(peakOf(plan))} of tensors at its peak, more than the ${formatBytes(room.bytes)} ${room.limit}`
  if (fits(least))
    return [
      `The run takes ${needs}: micro-batches will be halved until they fit.${remedy === undefined ? '' : ` It fits with ${remedy}.`}`,
    ]
  throw new ConfigError(
    `Expected a run that fits in memory, got one that takes ${needs}; with one example at a time and all layers recomputed it takes ${formatBytes(peakOf(least))}. ${remedy === undefined ? 'Choose a smaller model or a method that trains less.' : `It fits with ${remedy}.`}`,
  )
}

/** The plan of a run; undefined for runs without steps, those whose rollouts take too long, and those whose build fails. */
const planOf = async (kind: RunKind, recipe: CommonRecipe, context: PlanContext): Promise<RunPlan | undefined> => {
  if (kind.nonIterative?.(recipe) !== undefined) return undefined
  try {
    return await planBuiltRun(kind, recipe, context)
  } catch {
    context.signal?.throwIfAborted()
    // The build of the run itself says what is wrong. An architecture of a user's own may use operators that cannot be planned.
    return undefined
  }
}

/**
 * Predicts what a run takes, from its complete recipe.
 * @param context with the processes that will train: the one of this process is planned
 * @throws ConfigError for a run that cannot fit in memory, which names the nearest change that fits
 */
export const predictRun = async (
  kind: RunKind,
  recipe: CommonRecipe,
  {
    shared,
    signal,
    group,
  }: Pick<PlanContext, 'shared' | 'signal'> & { group?: Pick<ProcessGroup, 'rank' | 'size'> | undefined } = {},
): Promise<RunPrediction | undefined> => {
  const started = performance.now()
  const planned = group && new PlannedGroup({ rank: group.rank, size: group.size, library: 'gloo' })
  const context: PlanContext = {
    shared,
    signal,
    group: planned,
    microBatches: plannedMicroBatches,
    seconds: mostSeconds,
    fillSeconds: mostRolloutSeconds,
  }
  const plan = await planOf(kind, recipe, context)
  if (plan === undefined) return undefined
  const { memory, parameters, trainedParameters, steps, tokensPerStep, flopsPerStep } = plan
  const notes = await checkMemory(kind, recipe, plan, context)
  if (recipe.device !== 'cpu') notes.push(plannedElsewhere(recipe.device))
  // What is remembered is the speed of training steps, not that of rollouts, and is of the CPU.
  const speed =
    plan.rollouts === undefined && recipe.device === 'cpu'
      ? await rememberedSpeed(recipe.precision, flopsPerStep / tokensPerStep)
      : undefined
  const { processBytes, marginBytes } = await unplannedMemory(recipe.device)
  const flops = steps === undefined ? undefined : steps * flopsPerStep
  const { processes } = plan
  const own = processes?.flopsPerStep ?? flopsPerStep
  const costs =
    speed === undefined || steps === undefined ? undefined : costsOf((steps * own) / speed.flopsPerSecond, speed)
  return {
    peakBytes: memory.peakBytes,
    heldBytes: memory.heldBytes,
    rssBytes: processBytes + memory.heldBytes + marginBytes,
    marginBytes,
    phase: memory.phase,
    parameters,
    trainedParameters,
    steps,
    tokensPerStep,
    flopsPerStep,
    processes: processes?.count,
    ...(plan.rollouts !== undefined && { writesAnswers: true }),
    flops,
    seconds: costs?.seconds,
    range: costs?.range,
    source: costs && `${speed?.source}${processes === undefined ? '' : ', without what is spent on communication'}`,
    planSeconds: (performance.now() - started) / 1000,
    notes,
  }
}
