// How fast a planned run computes: measured in two steps of the run, remembered from earlier measurements, or from a table of cards.
import { DataError } from '../../core/index.ts'
import { getThreads } from '../../tensor/index.ts'
import { train } from '../../training/index.ts'
import type { BuiltRun, CommonRecipe, RunKind } from '../engine/run-kind.ts'
import { rememberCalibrations } from './calibration.ts'
import type { Speed } from './costs.ts'
import { findAccelerator, usualUtilisation } from './machines.ts'
import { type RunPlan, trainingOf } from './plan-run.ts'

/** The speed of a card by its data sheet. @throws ConfigError for an unknown card */
export const tableSpeed = (
  { gpu, count = 1, utilisation = usualUtilisation }: { gpu: string; count?: number; utilisation?: number },
  precision: 'float32' | 'bfloat16',
): Speed => {
  const card = findAccelerator(gpu)
  return {
    flopsPerSecond: count * utilisation * card[precision],
    count,
    tolerance: 0.5,
    basis: 'table',
    source: `${count} × ${card.name} at ${Math.round(100 * utilisation)} % of ${card[precision] / 1e12} TFLOP/s (${card.source})`,
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

/** Steps that are timed after the first. */
const timedSteps = 2

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
 * Builds the run, takes three steps and times the last two; of a run that makes its examples itself, the steps on those that it makes
 * first. Writes no files of the run.
 */
export const measureSpeed = async (kind: RunKind, recipe: CommonRecipe, plan: RunPlan): Promise<Speed> => {
  const run = await kind.build(recipe, { say: () => {}, unrecorded: true })
  try {
    if (plan.rollouts !== undefined) return await measureRollout(run, plan, plan.rollouts.steps)
    const most = timedSteps + 1
    const length = { timed: false, totalSteps: () => most, done: ({ step }: { step: number }) => step >= most }
    const speeds: number[] = []
    for await (const event of train({ ...trainingOf(run), length }))
      if (event.type === 'step' && event.step > 1)
        speeds.push((event.tokensPerSecond * plan.flopsPerStep) / plan.tokensPerStep)
    if (speeds.length === 0) throw new DataError('The run has one step only: nothing can be timed after it.')
    const mean = speeds.length / speeds.reduce((sum, speed) => sum + 1 / speed, 0)
    const spread = Math.max(...speeds) / Math.min(...speeds) - 1
    const flopsPerToken = plan.flopsPerStep / plan.tokensPerStep
    await rememberCalibrations([
      { threads: getThreads(), precision: recipe.precision, flopsPerSecond: mean, flopsPerToken },
    ])
    return {
      flopsPerSecond: mean,
      tolerance: Math.max(0.1, spread),
      basis: 'measured',
      source: `${speeds.length} steps on this machine`,
    }
  } finally {
    run.close()
  }
}
