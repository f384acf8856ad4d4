// THE loop. It yields what happens and leaves showing, recording and saving to whoever listens. Knows no objective, architecture,
// optimizer or file by name.
import { memoryUsage } from 'node:process'
import { NativeError, OutOfMemoryError } from '../core/index.ts'
import { type Optimizer, scheduleAt, type WeightAverage } from '../optim/index.ts'
import { clearGrads, Generator } from '../tensor/index.ts'
import type { RunLength } from './budget.ts'
import { type ExampleSource, type TakenBatch, takeBatch } from './example-stream.ts'
import {
  type BatchGradients,
  computeGradients,
  type GradientOptions,
  reseed,
  type TrainableModel,
} from './gradients.ts'
import { describeNonFinite, diagnose, type NonFiniteReport, SpikeWatch } from './incidents.ts'
import { IntervalTrigger } from './interval-trigger.ts'
import type { TrainingSettings } from './settings.ts'
import type { RunState } from './snapshot.ts'

/** What a run must remember besides its tensors. */
export type LoopState = Omit<RunState, 'optimizerStep' | 'averageUpdates'>

/** How a batch goes through the model, which no loss depends on. */
const askedOf = ({ batch, recompute }: Pick<TrainingSettings, 'batch' | 'recompute'>, numLayers: number) => ({
  microTokens: batch.microTokens,
  recompute: recompute === 'all' ? numLayers : recompute === 'none' ? 0 : Math.min(recompute, numLayers),
})

export const freshState = (settings: Pick<TrainingSettings, 'batch' | 'recompute'>, numLayers: number): LoopState => {
  const asked = askedOf(settings, numLayers)
  return { step: 0, position: 0, tokens: 0, seconds: 0, ...asked, asked, losses: [], best: null, stale: 0 }
}

/** A saved state, where the settings may have been changed since: what memory had enforced counts only while they were not. */
export const continuedState = (
  state: LoopState,
  settings: Pick<TrainingSettings, 'batch' | 'recompute'>,
  numLayers: number,
): LoopState => {
  const asked = askedOf(settings, numLayers)
  const same = asked.microTokens === state.asked.microTokens && asked.recompute === state.asked.recompute
  return same ? state : { ...state, ...asked, asked }
}

export interface TrainingRun<Example = unknown> {
  trainee: TrainableModel<Example>
  stream: ExampleSource<Example>
  optimizer: Optimizer
  average?: WeightAverage
  settings: TrainingSettings
  /** Peak of the schedule. */
  learningRate: number
  length: RunLength
  state: LoopState
  device?: string
  /** Values by name, of the model as it stands. */
  evaluate?(state: LoopState): Promise<Record<string, number>>
  sample?(): Promise<{ prompt?: string; text: string }[]>
  /** Writes a checkpoint and returns where. */
  save?(state: LoopState): Promise<string>
  /** Puts the newest checkpoint back and returns its state, or undefined without one. */
  rollBack?(): Promise<LoopState | undefined>
  /** Keeps a report of what went wrong and returns where. */
  recordIncident?(step: number, report: NonFiniteReport): Promise<string>
  /** Aborted: finish the step and what is due after it, save, end. */
  signal?: AbortSignal
}

interface Stamp {
  time: string
  step: number
}
export type TrainingEvent = Stamp &
  (
    | { type: 'start'; totalSteps?: number }
    | {
        type: 'step'
        loss: number
        terms?: Record<string, number>
        learningRate: number
        gradientNorm: number
        tokens: number
        tokensPerSecond: number
        seconds: number
        /** Of the step, spent on making examples. */
        dataSeconds: number
        memoryBytes: number
        /** Steps of the whole run, as far as known. */
        totalSteps: number
      }
    | { type: 'evaluation'; metrics: Record<string, number>; seconds: number }
    | { type: 'checkpoint'; path: string; seconds: number; best: boolean }
    | { type: 'sample'; prompt?: string; text: string }
    | { type: 'incident'; kind: string; message: string }
    | { type: 'end'; reason: 'finished' | 'interrupted'; message?: string }
  )

/** Batches in a row that may fail before the run gives up on going on. */
const maxFailures = 10

// A name that says so; other metrics are better when they are higher.
const lowerIsBetter = (name: string) => /loss|perplexity|bits|error/i.test(name)

/**
 * Trains until the budget is spent or the signal aborts.
 * @throws NativeError when a loss is not finite and the policy is to stop, or nothing else helps; OutOfMemoryError when nothing is left to halve
 */
export async function* train<Example>(run: TrainingRun<Example>): AsyncGenerator<TrainingEvent, LoopState> {
  const { trainee, stream, optimizer, average, settings, length, signal } = run
  const { parameters, objective } = trainee
  let state: LoopState = { ...run.state }
  let watch = new SpikeWatch(state.losses)
  const before = state.seconds
  const started = performance.now()
  const generator = new Generator(0)
  const due = Object.fromEntries(
    (['evaluate', 'sample', 'checkpoint'] as const).map((what) => [what, new IntervalTrigger(settings[what], state)]),
  ) as Record<'evaluate' | 'sample' | 'checkpoint', IntervalTrigger>
  let savedAt = state.step > 0 ? state.step : -1
  let failures = 0
  const stamp = (): Stamp => ({ time: new Date().toISOString(), step: state.step })
  /** Incidents bear the number of the step that is being made. */
  const incident = (kind: string, message: string): TrainingEvent => ({
    ...stamp(),
    step: state.step + 1,
    type: 'incident',
    kind,
    message,
  })

  /** Yields what was measured; a new best wants a checkpoint, which comes after everything else of the step. */
  async function* evaluate(): AsyncGenerator<TrainingEvent, boolean> {
    if (run.evaluate === undefined) return false
    const from = performance.now()
    average?.swapIn()
    const metrics = await run.evaluate(state).finally(() => average?.swapOut())
    yield { ...stamp(), type: 'evaluation', metrics, seconds: (performance.now() - from) / 1000 }
    const name = settings.keep.best
    const value = name === undefined ? undefined : metrics[name]
    if (name === undefined || value === undefined) return false
    const sign = lowerIsBetter(name) ? -1 : 1
    if (Number.isNaN(value) || (state.best !== null && sign * value <= sign * state.best.value)) {
      state.stale++
      return false
    }
    state.stale = 0
    state.best = { step: state.step, value }
    return true
  }

  async function* save(): AsyncGenerator<TrainingEvent> {
    if (run.save === undefined || savedAt === state.step) return
    const from = performance.now()
    const path = await run.save({ ...state, losses: [...watch.window] })
    savedAt = state.step
    failures = 0
    const best = state.best?.step === state.step
    yield { ...stamp(), type: 'checkpoint', path, seconds: (performance.now() - from) / 1000, best }
  }

  /** Halves what goes through the model at once, then recomputes more layers; false when neither is left. */
  const shrink = (batch: TakenBatch<Example>): string | undefined => {
    const longest = batch.examples.reduce((most, example) => Math.max(most, objective.tokens(example)), 1)
    if (state.microTokens >= 2 * longest) {
      state.microTokens = Math.floor(state.microTokens / 2)
      return `micro-batches are now ${state.microTokens} tokens`
    }
    const { numLayers } = trainee.model.facts
    if (state.recompute >= numLayers) return undefined
    state.recompute = Math.min(numLayers, Math.max(1, state.recompute * 2))
    return `${state.recompute} of ${numLayers} layers are now recomputed in the backward pass`
  }

  const gradientOptions = (): GradientOptions => ({
    microTokens: state.microTokens,
    padded: settings.batch.padded,
    recompute: state.recompute,
    generator: reseed(generator, settings.seed, state.step),
    device: run.device,
  })

  async function* gradientsOf(batch: TakenBatch<Example>): AsyncGenerator<TrainingEvent, BatchGradients> {
    for (;;) {
      try {
        return await computeGradients(trainee, batch.examples, gradientOptions())
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error
        clearGrads([...parameters.values()])
        const change = shrink(batch)
        if (change === undefined)
          throw new OutOfMemoryError(
            `${error.message} One example at a time with all layers recomputed still does not fit.`,
          )
        yield incident('out-of-memory', `Memory ran out: ${change}. The global batch and the loss stay as they were.`)
      }
    }
  }

  trainee.model.train()
  trainee.auxiliary?.train()
  const planned = length.totalSteps(state)
  if (state.step === 0) yield { ...stamp(), type: 'start', ...(length.timed ? {} : { totalSteps: planned }) }

  const done = () => length.done(state) || state.stale >= (settings.patience ?? Number.POSITIVE_INFINITY)
  while (!done() && !signal?.aborted) {
    const from = performance.now()
    const batch = takeBatch(stream, objective.tokens, state.position, settings.batch)
    const dataSeconds = (performance.now() - from) / 1000
    const result = yield* gradientsOf(batch)
    const totalSteps = length.totalSteps(state)
    const learningRate = run.learningRate * scheduleAt(settings.schedule, { step: state.step, totalSteps })
    const spike = watch.check(result.loss)
    const finite = Number.isFinite(result.loss)
    const skip = finite && spike !== undefined && settings.onSpike === 'skip'
    const applied =
      finite && !skip
        ? optimizer.step(result.gradients, { learningRate, maxGradientNorm: settings.maxGradientNorm })
        : { applied: false, gradientNorm: Number.NaN }

    if (!applied.applied && !skip) {
      const report = await diagnose(trainee, batch.examples, batch.position, result, gradientOptions())
      result.release()
      const where = await run.recordIncident?.(state.step + 1, report)
      const message = `${describeNonFinite(report)} The step was not applied.${where === undefined ? '' : ` Details: ${where}`}`
      yield incident('non-finite', message)
      const policy = settings.onNonFinite
      if (policy === 'stop')
        throw new NativeError(`${message} Set onNonFinite to go on, lower the learning rate, or look at the examples.`)
      failures++
      const earlier = policy === 'roll-back' && failures < maxFailures ? await run.rollBack?.() : undefined
      if (earlier !== undefined) {
        // Weights and schedule go back; the data goes on behind the batch that did harm.
        const { microTokens, recompute, asked } = state
        state = { ...earlier, position: batch.next, microTokens, recompute, asked }
        watch = new SpikeWatch(state.losses)
        savedAt = state.step
        const back = `Went back to step ${state.step}; the batch is passed over.`
        yield { ...stamp(), type: 'incident', kind: 'roll-back', message: back }
        continue
      }
      if (report.weights.length > 0 || failures >= maxFailures)
        throw new NativeError(
          `${message} ${failures === 1 ? 'Passing over the batch' : `Having passed over ${failures} batches`} does not help. Lower the learning rate, or look at the data.`,
        )
    } else if (spike !== undefined) {
      const message = `Loss ${result.loss.toPrecision(4)} is ${spike.toFixed(1)} standard deviations above its recent mean.${skip ? ' The step was not applied.' : ''}`
      yield incident('spike', message)
    }
    result.release()
    if (finite) watch.add(result.loss)
    if (applied.applied) {
      average?.update()
      if (settings.onNonFinite !== 'roll-back' || savedAt < 0) failures = 0
    }

    const seconds = (performance.now() - from) / 1000
    state.step++
    state.position = batch.next
    state.tokens += batch.tokens
    state.seconds = before + (performance.now() - started) / 1000
    yield {
      ...stamp(),
      type: 'step',
      loss: result.loss,
      ...(Object.keys(result.terms).length > 1 ? { terms: result.terms } : {}),
      learningRate,
      gradientNorm: applied.gradientNorm,
      tokens: state.tokens,
      tokensPerSecond: batch.tokens / seconds,
      seconds,
      dataSeconds,
      memoryBytes: memoryUsage.rss(),
      totalSteps,
    }
    const last = done()
    // Each is asked at every step, or it would lose count.
    const [evaluateNow, sampleNow, saveNow] = [due.evaluate, due.sample, due.checkpoint].map((one) => one.now(state))
    const improved = evaluateNow || last ? yield* evaluate() : false
    if (sampleNow) for (const shown of (await run.sample?.()) ?? []) yield { ...stamp(), type: 'sample', ...shown }
    // Last of its step, so that cutting the records behind it loses nothing.
    if (saveNow || improved || last) yield* save()
  }

  const interrupted = !done()
  yield* save()
  yield { ...stamp(), type: 'end', reason: interrupted ? 'interrupted' : 'finished' }
  return { ...state, losses: [...watch.window] }
}
