// How fast a planned run computes: measured in two steps of the run, remembered from earlier measurements, or from a table of cards.
import { mkdir, readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { dirname } from 'node:path'
import { DataError, userCache, writeFileAtomic } from '../../core/index.ts'
import { getThreads } from '../../tensor/index.ts'
import { train } from '../../training/index.ts'
import type { CommonRecipe, RunKind } from '../engine/run-kind.ts'
import type { Speed } from './costs.ts'
import { findAccelerator, usualUtilisation } from './machines.ts'
import { type RunPlan, trainingOf } from './plan-run.ts'

/** A measurement of a training step on this machine. */
interface Calibration {
  processor: string
  threads: number
  precision: string
  flopsPerSecond: number
  time: string
}

const calibrationFile = (): string => userCache('plan-calibrations.json')

const processor = (): string => cpus()[0]?.model.trim() || 'unknown'

const readCalibrations = async (): Promise<Calibration[]> => {
  try {
    return JSON.parse(await readFile(calibrationFile(), 'utf8')) as Calibration[]
  } catch {
    return []
  }
}

/** Remembers the speed of a step on this machine. Keeps the last 200. */
export const rememberSpeed = async (precision: string, flopsPerSecond: number): Promise<void> => {
  const path = calibrationFile()
  const own = {
    processor: processor(),
    threads: getThreads(),
    precision,
    flopsPerSecond,
    time: new Date().toISOString(),
  }
  await mkdir(dirname(path), { recursive: true })
  await writeFileAtomic(path, `${JSON.stringify([...(await readCalibrations()), own].slice(-200), null, 2)}\n`)
}

/** The speed that earlier runs had on this machine; undefined where none was measured. */
export const rememberedSpeed = async (precision: string): Promise<Speed | undefined> => {
  const fitting = (await readCalibrations())
    .filter((one) => one.processor === processor() && one.threads === getThreads() && one.precision === precision)
    .slice(-9)
    .map(({ flopsPerSecond }) => flopsPerSecond)
    .sort((a, b) => a - b)
  if (fitting.length === 0) return undefined
  const median = fitting[Math.floor(fitting.length / 2)]
  const spread = Math.max(fitting.at(-1)! / median, median / fitting[0]) - 1
  const times = fitting.length === 1 ? 'one measurement' : `${fitting.length} measurements`
  return {
    flopsPerSecond: median,
    tolerance: Math.max(0.15, spread),
    basis: 'calibrated',
    source: `${times} of earlier runs on this machine`,
  }
}

/** The speed of a card by its data sheet. @throws ConfigError for an unknown card */
export const tableSpeed = (
  { gpu, count = 1, utilisation = usualUtilisation }: { gpu: string; count?: number; utilisation?: number },
  precision: 'float32' | 'bfloat16',
): Speed => {
  const card = findAccelerator(gpu)
  return {
    flopsPerSecond: count * utilisation * card[precision],
    tolerance: 0.5,
    basis: 'table',
    source: `${count} × ${card.name} at ${Math.round(100 * utilisation)} % of ${card[precision] / 1e12} TFLOP/s (${card.source})`,
  }
}

/** Steps that are timed after the first. */
const timedSteps = 2

/** Builds the run, takes three steps and times the last two. Writes no files of the run. */
export const measureSpeed = async (kind: RunKind, recipe: CommonRecipe, plan: RunPlan): Promise<Speed> => {
  const run = await kind.build(recipe, { say: () => {} })
  try {
    const most = timedSteps + 1
    const length = { timed: false, totalSteps: () => most, done: ({ step }: { step: number }) => step >= most }
    const speeds: number[] = []
    for await (const event of train({ ...trainingOf(run), length }))
      if (event.type === 'step' && event.step > 1)
        speeds.push((event.tokensPerSecond * plan.flopsPerStep) / plan.tokensPerStep)
    if (speeds.length === 0) throw new DataError('The run has one step only: nothing can be timed after it.')
    const mean = speeds.length / speeds.reduce((sum, speed) => sum + 1 / speed, 0)
    const spread = Math.max(...speeds) / Math.min(...speeds) - 1
    await rememberSpeed(recipe.precision, mean)
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
