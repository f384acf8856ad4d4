// What a run was predicted to take beside what it took, and what later plans learn from it.
import { basename, join, resolve } from 'node:path'
import { ConfigError, DataError, processorName, programCall } from '../../core/index.ts'
import {
  type ComparedCost,
  compareCosts,
  type RunMeasurement,
  type RunPrediction,
  readEvents,
  readRunCard,
  runFiles,
} from '../../tracking/index.ts'
import { readPrediction } from '../engine/run-record.ts'
import { readRunRecipe } from '../kinds.ts'
import { type Calibration, rememberCalibrations } from './speed.ts'

/** The plan of a run that was started, with its measurements once it has ended. */
export interface StartedPlan {
  run: string
  prediction: RunPrediction
  /** Undefined until the run has ended. */
  measured?: RunMeasurement
  costs: ComparedCost[]
}

/** @throws DataError for a folder without a run, or whose run had no plan */
export const readRunPlan = async (folder: string): Promise<StartedPlan> => {
  await readRunRecipe(folder)
  const card = await readRunCard(folder)
  const prediction = card?.prediction ?? (await readPrediction(folder))
  if (prediction === undefined)
    throw new DataError(
      `${folder}: Expected a run that was planned before its first step, found no ${runFiles.plan}. Runs without steps and those with many or long rollouts have no plan, nor have those of older versions.`,
    )
  const measured = card?.measured
  return { run: folder, prediction, ...(measured && { measured }), costs: compareCosts(prediction, measured) }
}

/** What was learned from a run. */
export interface LearnedCalibration extends Omit<Calibration, 'time'> {
  run: string
  /** Time of the steps that the plan predicted, in seconds; undefined where it knew no speed. */
  predictedSeconds?: number
  measuredSeconds: number
}

/** Steps whose mean is a speed: the first warms up. */
const leastSteps = 3

const learnFrom = async (folder: string): Promise<LearnedCalibration> => {
  const { precision, device } = await readRunRecipe(folder)
  const { prediction, measured } = await readRunPlan(folder)
  const card = await readRunCard(folder)
  if (card === undefined || measured === undefined)
    throw new DataError(`${folder}: Expected a run that has ended. Finish it: \`${programCall('resume', folder)}\`.`)
  if (card.hardware.cpu !== processorName())
    throw new ConfigError(
      `Expected runs of this machine's processor (${processorName()}), got one of ${card.hardware.cpu} in ${folder}. Calibrate on the machine that made it.`,
    )
  if (device !== 'cpu')
    throw new ConfigError(
      `Expected runs on the CPU, whose speed and memory are learned, got one on ${device} in ${folder}. Calibrate with runs on the CPU.`,
    )
  if (prediction.writesAnswers)
    throw new ConfigError(
      `Expected runs whose time is that of their training steps, got ${folder}, which wrote answers too. Calibrate with a run of fine-tuning.`,
    )
  let [steps, tokens, seconds, before, started] = [0, 0, 0, 0, '']
  for await (const event of readEvents(join(folder, runFiles.events))) {
    if (event.type === 'start') started = event.time
    if (event.type !== 'step') continue
    steps++
    if (steps > 1) {
      tokens += event.tokens - before
      seconds += event.seconds
    }
    before = event.tokens
  }
  if (steps < leastSteps || seconds === 0)
    throw new ConfigError(
      `Expected at least ${leastSteps} steps to learn a speed from, got ${steps} in ${folder}. Calibrate with a longer run.`,
    )
  const flopsPerToken = prediction.flopsPerStep / prediction.tokensPerStep
  return {
    processor: card.hardware.cpu,
    threads: measured.threads,
    precision,
    flopsPerSecond: (tokens * flopsPerToken) / seconds / (prediction.processes ?? 1),
    flopsPerToken,
    marginBytes: measured.rssBytes - (prediction.rssBytes - prediction.marginBytes),
    run: `${basename(resolve(folder))} of ${started}`,
    ...(prediction.seconds === undefined ? {} : { predictedSeconds: prediction.seconds }),
    measuredSeconds: measured.seconds,
  }
}

/**
 * Learns the speed of this machine and the memory that plans do not see from finished runs, for later plans of this user. A run that was
 * learned from before counts once.
 * @throws DataError for a run that has not ended or had no plan, ConfigError for one of another processor or with too few steps
 */
export const calibratePlans = async (folders: readonly string[]): Promise<LearnedCalibration[]> => {
  const learned: LearnedCalibration[] = []
  for (const folder of new Set(folders.map((one) => resolve(one)))) learned.push(await learnFrom(folder))
  await rememberCalibrations(
    learned.map(({ predictedSeconds: _, measuredSeconds: __, processor: ___, ...kept }) => kept),
  )
  return learned
}
