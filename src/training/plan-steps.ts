// Plans the steps of a run: the loop itself, without arithmetic and without the memory of tensors.
import { cpuUsage } from 'node:process'
import { DataError } from '../core/index.ts'
import type { CollectiveMark } from '../distributed/index.ts'
import { noteMark, notePhase, noteTensors, type Plan, plan } from '../tensor/index.ts'
import { ownRows, plannedBatches, sourceOfBatches } from './planned-batches.ts'
import type { ShardedWeights } from './sharded-weights.ts'
import { evaluationPhase, fillPhase, train } from './train.ts'
import type { TrainingRun } from './training-run.ts'
import { fillExamples } from './training-run.ts'

/** The steps of a plan: the first allocates what the later ones reuse. */
const plannedSteps = 2

/** What the plan of a process of a group notes: its collectives, and the ends of its steps. */
export type StepMark = CollectiveMark | { type: 'step' }

/** Names what of a plan holds weights and optimizer state. */
const noteModel = ({ trainable, optimizer, average }: TrainingRun<never>): void => {
  const { model, auxiliary, parameters } = trainable
  const trained = new Set(parameters.values())
  const all = [...model.parameters().values(), ...(auxiliary?.parameters().values() ?? [])]
  noteTensors(
    'frozen weights',
    all.filter((parameter) => !trained.has(parameter)),
  )
  const state = optimizer.state()
  noteTensors('optimizer state', state.tensors.values())
  if (average !== undefined) noteTensors('average of weights', average.state().tensors.values())
  noteTensors('weights', trained)
}

/** What a planned run took in its steps. */
export interface PlannedSteps {
  steps: number
  tokens: number
  examples: number
  /** Tokens of these steps that this process computes. */
  ownTokens: number
  /** Mean tokens of whole steps, of which a bounded plan takes a part. */
  tokensPerStep: number
  /** Mean rows and tokens of whole steps that this process computes. */
  own: { rows: number; tokens: number }
  /** How often the run made examples itself in the plan, and the steps that train on those of once. */
  fills?: { count: number; steps: number }
}

/** How much of a run is planned. */
export interface PlanExtent {
  steps?: number
  /** Most micro-batches of a step; the others take the memory of these (default: all). */
  microBatches?: number
  /** Plan the largest of this many first steps, as lengths vary (default: the first ones). */
  largestOf?: number
  /** Take no further step once planning has taken this much processor time, in seconds (default: no limit). */
  seconds?: number
  /** Most time for the examples that a run makes itself, in seconds (default: no limit). */
  fillSeconds?: number
}

/** A run to plan. */
export interface PlannableRun extends TrainingRun<never> {
  /** Evaluates those validation examples that take the most memory; undefined for a run without evaluations. */
  evaluateLargest?: (() => Promise<unknown>) | undefined
  /** Weights of a model that is not trained, of which each process has a part. */
  besideWeights?: ShardedWeights | undefined
}

/**
 * Lets a run that makes its examples itself make those from a position on.
 * @throws DataError where that takes longer than some seconds
 */
const fill = async (run: TrainingRun<never>, position: number, seconds: number) => {
  if (run.stream.online === undefined) return
  notePhase(fillPhase)
  const { padded } = run.settings.batch
  const { step, microTokens } = run.state
  const limit = Number.isFinite(seconds) ? AbortSignal.timeout(1000 * seconds) : undefined
  const events = fillExamples(run, position, { step, microTokens, padded, signal: limit })[Symbol.asyncIterator]()
  while ((await events.next()).done !== true);
  if (limit?.aborted)
    throw new DataError(
      `Expected rollouts that are planned within ${seconds} seconds, got more or longer answers. Plan the run without a limit of time.`,
    )
}

/**
 * Plans a run: builds it, takes steps of its loop, and evaluates once.
 *
 * @param build makes everything that the run needs; its tensors have shapes only
 */
export const planSteps = (
  build: () => Promise<PlannableRun>,
  {
    steps: most = plannedSteps,
    microBatches = Number.POSITIVE_INFINITY,
    largestOf = most,
    seconds = Number.POSITIVE_INFINITY,
    fillSeconds = Number.POSITIVE_INFINITY,
  }: PlanExtent = {},
): Promise<Plan<PlannedSteps, StepMark>> =>
  plan(async () => {
    const run = await build()
    noteModel(run)
    // As before the first step of a run.
    run.shardedWeights?.close()
    run.besideWeights?.close()
    await fill(run, 0, fillSeconds)
    const { trainable, average, evaluateLargest, group, shardedWeights } = run
    const { padded, microTokens, ...batch } = run.settings.batch
    const started = cpuUsage()
    const isLate = () => {
      const { user, system } = cpuUsage(started)
      return user + system > 1e6 * seconds
    }
    const all = run.length.timed ? Number.POSITIVE_INFINITY : run.length.totalSteps(run.state)
    const { online } = run.stream
    // Looking at all steps on a rollout costs little, and says how many they are.
    const last = online === undefined ? Math.min(all, largestOf) : Number.POSITIVE_INFINITY
    const steps = Math.max(Math.min(most, all), Math.min(most, plannedSteps))
    // The first step of a group sends its gradients after the backward pass: only the second one is as all others.
    const least = group === undefined ? 1 : plannedSteps
    const done = ({ step }: { step: number }) => step >= steps || (step >= least && isLate())
    const length = { timed: false, totalSteps: () => steps, done }
    const { batches, tokensPerStep, own, looked } = plannedBatches(trainable, run.stream, {
      ...{ batch, last, steps, microBatches, padded, microTokens: run.state.microTokens, group },
    })
    const sequences = Math.max(...batches.map((one) => one.length))
    const settings = { ...run.settings, batch: { padded, microTokens, sequences } }
    const stream = sourceOfBatches(batches)
    const events = train({ ...run, stream, settings, length, evaluate: undefined, sample: undefined, save: undefined })
    let next = await events.next()
    while (next.done !== true) {
      if (group !== undefined && next.value.type === 'step') noteMark({ type: 'step' } satisfies StepMark)
      next = await events.next()
    }
    const { step, tokens, position } = next.value
    // What the steps have allocated is there while the next examples are made.
    if (online !== undefined) await fill(run, online.end, fillSeconds)
    if (evaluateLargest !== undefined) {
      notePhase(evaluationPhase)
      average?.swapIn()
      await (shardedWeights?.whole(evaluateLargest) ?? evaluateLargest())
      average?.swapOut()
    }
    const fills = online === undefined ? {} : { fills: { count: 2, steps: looked } }
    const ownTokens = batches
      .slice(0, step)
      .flatMap((examples) => ownRows(trainable, examples, group))
      .reduce((sum, row) => sum + trainable.objective.tokens(row), 0)
    return { steps: step, tokens, ownTokens, examples: position, tokensPerStep, own, ...fills }
  })
