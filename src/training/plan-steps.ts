// Plans the steps of a run: the loop itself, without arithmetic and without the memory of tensors.
import { cpuUsage } from 'node:process'
import { notePhase, noteTensors, type Plan, plan } from '../tensor/index.ts'
import { plannedBatches, sourceOfBatches } from './planned-batches.ts'
import { type TrainingRun, train } from './train.ts'

/** The steps of a plan: the first allocates what the later ones reuse. */
const plannedSteps = 2

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
  /** Mean tokens of whole steps, of which a bounded plan takes a part. */
  tokensPerStep: number
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
}

/** A run to plan. */
export interface PlannableRun extends TrainingRun<never> {
  /** Evaluates those validation examples that take the most memory; undefined for a run without evaluations. */
  evaluateLargest?: (() => Promise<unknown>) | undefined
}

/** A phase of plans that is no part of the steps. */
export const evaluationPhase = 'evaluation'

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
  }: PlanExtent = {},
): Promise<Plan<PlannedSteps>> =>
  plan(async () => {
    const run = await build()
    noteModel(run)
    const { trainable, average, evaluateLargest } = run
    const { padded, microTokens, ...batch } = run.settings.batch
    const started = cpuUsage()
    const isLate = () => {
      const { user, system } = cpuUsage(started)
      return user + system > 1e6 * seconds
    }
    const all = run.length.timed ? Number.POSITIVE_INFINITY : run.length.totalSteps(run.state)
    const last = Math.min(all, largestOf)
    const steps = Math.max(Math.min(most, all), Math.min(most, plannedSteps))
    const done = ({ step }: { step: number }) => step >= steps || (step > 0 && isLate())
    const length = { timed: false, totalSteps: () => steps, done }
    const { batches, tokensPerStep } = plannedBatches(trainable, run.stream, {
      ...{ batch, last, steps, microBatches, padded, microTokens: run.state.microTokens },
    })
    const sequences = Math.max(...batches.map((one) => one.length))
    const settings = { ...run.settings, batch: { padded, microTokens, sequences } }
    const stream = sourceOfBatches(batches)
    const events = train({ ...run, stream, settings, length, evaluate: undefined, sample: undefined, save: undefined })
    let next = await events.next()
    while (next.done !== true) next = await events.next()
    const { step, tokens, position } = next.value
    if (evaluateLargest !== undefined) {
      notePhase(evaluationPhase)
      average?.swapIn()
      await evaluateLargest()
      average?.swapOut()
    }
    return { steps: step, tokens, examples: position, tokensPerStep }
  })
