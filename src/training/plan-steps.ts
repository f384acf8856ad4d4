// Plans the steps of a run: the loop itself, without arithmetic and without the memory of tensors.

import { notePhase, noteTensors, type Plan, plan } from '../tensor/index.ts'
import { type ExampleSource, takeBatch } from './example-stream.ts'
import { type TrainingRun, train } from './train.ts'
import { evaluateValidation } from './validation.ts'

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
  /** Plan the largest of this many first steps, as lengths vary (default: the first). */
  largestOf?: number
  /** Take no further step once planning has taken this long, in seconds: steps differ little (default: no limit). */
  seconds?: number
}

/** Examples that are looked at for the largest step. */
const mostExamples = 4096

/** The part of a run that its plan takes. */
interface PlannedPart {
  stream: ExampleSource<never>
  batch: TrainingRun['settings']['batch']
  /** Mean tokens of the steps that were looked at. */
  tokensPerStep: number
}

/**
 * The examples of a step that fill some micro-batches; where a step is smaller, the largest of the first steps, as their lengths vary.
 * @param last number of steps that are looked at
 */
const boundedPart = (run: TrainingRun<never>, microBatches: number | undefined, last: number): PlannedPart => {
  const { trainable, stream, settings } = run
  const { batch } = settings
  const { tokens: tokensOf } = trainable.objective
  const whole = takeBatch(stream, tokensOf, 0, batch)
  const most = (microBatches ?? Number.POSITIVE_INFINITY) * batch.microTokens
  if (whole.tokens > most) {
    const { examples } = takeBatch(stream, tokensOf, 0, { tokens: most })
    const part = { ...batch, tokens: undefined, sequences: examples.length }
    return { stream, batch: part, tokensPerStep: whole.tokens }
  }
  let [largest, start, before, sum, steps] = [whole, 0, 0, 0, 0]
  for (let one = whole; ; one = takeBatch(stream, tokensOf, one.next, batch)) {
    sum += one.tokens
    steps++
    // The step before it is planned too, as it leaves blocks of memory behind.
    if (one.tokens > largest.tokens) [largest, start] = [one, before]
    before = one.position
    if (steps >= last || one.next >= mostExamples) break
  }
  const moved = { ...stream, perEpoch: stream.perEpoch, example: (at: number) => stream.example(at + start) }
  return { stream: start === 0 ? stream : moved, batch, tokensPerStep: sum / steps }
}

/** A run to plan. */
export interface PlannableRun extends TrainingRun<never> {
  /** Validation examples of an evaluation; undefined for a run without evaluations. */
  evaluationExamples?: number | undefined
  /** Tokens of a batch of an evaluation (default: those of a micro-batch). */
  evaluationTokens?: number | undefined
}

/** A phase of plans that is no part of the steps. */
export const evaluationPhase = 'evaluation'

/** Plans a pass without gradients over as many examples as an evaluation has, or as fill two micro-batches. Training examples stand in. */
const planEvaluation = async (run: PlannableRun): Promise<void> => {
  const { trainable, stream, average, settings, state, device, evaluationExamples = 0 } = run
  if (evaluationExamples === 0) return
  const { evaluationTokens: microTokens = state.microTokens } = run
  const filling = takeBatch(stream, trainable.objective.tokens, 0, { tokens: 2 * microTokens }).examples.length
  notePhase(evaluationPhase)
  average?.swapIn()
  const examples = Math.min(evaluationExamples, filling)
  await evaluateValidation(trainable, stream, { examples, microTokens, padded: settings.batch.padded, device })
}

/**
 * Plans a run: builds it, takes steps of its loop, and evaluates once.
 *
 * @param build makes everything that the run needs; its tensors have shapes only
 */
export const planSteps = (
  build: () => Promise<PlannableRun>,
  { steps = plannedSteps, microBatches, largestOf = 1, seconds = Number.POSITIVE_INFINITY }: PlanExtent = {},
): Promise<Plan<PlannedSteps>> =>
  plan(async () => {
    const run = await build()
    noteModel(run)
    const started = performance.now()
    const isLate = () => performance.now() - started > 1000 * seconds
    const done = ({ step }: { step: number }) => step >= steps || (step > 0 && isLate())
    const length = { timed: false, totalSteps: () => steps, done }
    const all = run.length.timed ? Number.POSITIVE_INFINITY : run.length.totalSteps(run.state)
    const { stream, batch, tokensPerStep } = boundedPart(run, microBatches, Math.min(all, largestOf))
    const settings = { ...run.settings, batch }
    const events = train({ ...run, stream, settings, length, evaluate: undefined, sample: undefined, save: undefined })
    let next = await events.next()
    while (next.done !== true) next = await events.next()
    const { step, tokens, position } = next.value
    await planEvaluation(run)
    return { steps: step, tokens, examples: position, tokensPerStep }
  })
