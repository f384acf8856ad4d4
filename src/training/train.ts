// THE training loop, independent of objective, architecture, optimizer and files. It yields events, and it awaits the callbacks of
// `TrainingRun` for what it cannot go on without: evaluations, samples, checkpoints.
import { NativeError, OutOfMemoryError } from '../core/index.ts'
import { GroupError } from '../distributed/index.ts'
import { reseed } from '../nn/index.ts'
import { mustPad } from '../objectives/index.ts'
import { type Optimizer, ShardedOptimizer, scheduleAt } from '../optim/index.ts'
import { clearGrads, Generator, isOutOfMemory, notePhase, processMemory, type Tensor } from '../tensor/index.ts'
import { isLowerBetter, type TrainingEvent } from '../tracking/index.ts'
import type { BackwardUpdates } from './backward-updates.ts'
import { IntervalTrigger } from './budget.ts'
import { assignRows, layerNorms, type ReducedGradients, reduceGradients, takeStep } from './data-parallel.ts'
import { type TakenBatch, takeBatch } from './example-stream.ts'
import type { GradientExchange } from './gradient-exchange.ts'
import { type BatchGradients, computeGradients, type GradientOptions } from './gradients.ts'
import { describeNonFinite, diagnose, type NonFiniteReport, SpikeWatch } from './incidents.ts'
import type { LoopState } from './loop-state.ts'
import {
  afterEvaluation,
  describeOverflow,
  lossScaleMetrics,
  lossScaleSettings,
  nextLossScale,
  plateauFactor,
} from './loop-state.ts'
import { shareBatch } from './shared-batch.ts'
import type { TrainingRun } from './training-run.ts'
import { exchangeOf, fillExamples, shareOf, updatesOf } from './training-run.ts'

/** Phases of plans that are no part of the steps. */
export const [evaluationPhase, fillPhase] = ['evaluation', 'rollouts']

type Pending = LoopState['pending'][number]
type Update = ReturnType<Optimizer['step']>

/** Failed batches in a row after which the run gives up. */
const maxFailures = 10

const notApplied: Update = { applied: false, gradientNorm: Number.NaN }

/**
 * Trains until the budget is spent or the signal aborts. Before an error ends the run, the weights of the last whole step are saved.
 * @throws NativeError when a loss is not finite and the policy is to stop, or nothing else helps; OutOfMemoryError when a single
 * example does not fit
 */
export async function* train<Example>(run: TrainingRun<Example>): AsyncGenerator<TrainingEvent, LoopState> {
  return yield* new TrainingLoop(run).run()
}

class TrainingLoop<Example> {
  readonly #run: TrainingRun<Example>
  #state: LoopState
  #watch: SpikeWatch
  readonly #generator = new Generator(0)
  readonly #triggers: Record<'evaluate' | 'sample' | 'checkpoint', IntervalTrigger>
  readonly #secondsBefore: number
  readonly #started = performance.now()
  #savedAt: number
  #failures = 0
  /** False while weights and state do not belong together, or the weights are damaged: nothing may be saved then. */
  #sound = true
  /** Whether the processes of a group agreed to stop. */
  #agreedStop = false
  #gradientNorm = 0
  readonly #exchange: GradientExchange | undefined
  readonly #updates: BackwardUpdates<Example> | undefined

  constructor(run: TrainingRun<Example>) {
    const { settings, state } = run
    this.#run = run
    this.#state = { ...state }
    this.#watch = new SpikeWatch(state.losses)
    this.#secondsBefore = state.seconds
    this.#exchange = exchangeOf(run)
    this.#updates = updatesOf(run)
    this.#savedAt = state.step > 0 ? state.step : -1
    if (state.step > 0) run.trainable.objective.carried?.load(state.carried)
    this.#triggers = {
      evaluate: new IntervalTrigger(settings.evaluate, state),
      sample: new IntervalTrigger(settings.sample, state),
      checkpoint: new IntervalTrigger(settings.checkpoint, state, run.stream.perEpoch),
    }
  }

  async *run(): AsyncGenerator<TrainingEvent, LoopState> {
    const { trainable, length } = this.#run
    trainable.model.train()
    trainable.auxiliary?.train()
    if (this.#state.step === 0) {
      const totalSteps = length.totalSteps(this.#state)
      yield { ...this.#stamp(), type: 'start', ...(length.timed ? {} : { totalSteps }) }
    }
    try {
      // A checkpoint is written before its step is evaluated, so a resumed run may still owe the evaluation.
      yield* this.#finishStep(this.#state.pending)
      while (!this.#done() && !this.#stopping()) {
        const asked = this.#run.beforeStep?.(this.#state)
        if (asked !== undefined) await asked
        yield* this.#step()
      }
      yield* this.#save()
    } catch (error) {
      yield* this.#rescue()
      throw error
    } finally {
      this.#exchange?.close()
      this.#updates?.close()
    }
    const isEarly = this.#isStale() && !length.done(this.#state)
    yield {
      ...this.#stamp(),
      type: 'end',
      reason: this.#done() ? 'finished' : 'interrupted',
      ...(isEarly ? { cause: 'patience' } : {}),
    }
    return { ...this.#state, losses: [...this.#watch.window] }
  }

  /** A process of a group stops when all do. */
  #stopping(): boolean {
    return this.#run.group === undefined ? this.#run.signal?.aborted === true : this.#agreedStop
  }

  #done(): boolean {
    return this.#run.length.done(this.#state) || this.#isStale()
  }

  /** Whether as many evaluations in a row as `patience` has were no better. */
  #isStale(): boolean {
    return this.#state.stale >= (this.#run.settings.patience ?? Number.POSITIVE_INFINITY)
  }

  #stamp(): { time: string; step: number } {
    return { time: new Date().toISOString(), step: this.#state.step }
  }

  /** Incidents carry the number of the step that is being computed. */
  #incident(kind: string, message: string): TrainingEvent {
    return { ...this.#stamp(), step: this.#state.step + 1, type: 'incident', kind, message }
  }

  async *#step(): AsyncGenerator<TrainingEvent> {
    const { trainable, stream, average, settings, length } = this.#run
    yield* this.#fill()
    // A signal during the rollout ends it early: its examples are not complete.
    if (this.#stopping() && stream.online !== undefined) return
    const from = performance.now()
    const batch = takeBatch(stream, trainable.objective.tokens, this.#state.position, settings.batch)
    yield* this.#prepare(batch)
    const dataSeconds = (performance.now() - from) / 1000
    const totalSteps = length.totalSteps(this.#state)
    const scheduled = scheduleAt(settings.schedule, { step: this.#state.step, totalSteps })
    const learningRate = this.#run.learningRate * scheduled * plateauFactor(settings.plateau, this.#state.plateau)
    this.#updates?.begin(learningRate)
    const result = yield* this.#gradientsOfStep(batch)
    const spike = this.#watch.check(result.loss)
    const finite = Number.isFinite(result.loss)
    const skip = finite && spike !== undefined && settings.onSpike === 'skip'
    const gradientNorms = await this.#layerNorms(result)
    const update = finite && !skip ? yield* this.#apply(batch, result, learningRate) : notApplied
    const { lossScale } = this.#state
    let incident = skip ? undefined : this.#rescale(finite, update)
    if (incident === undefined && !update.applied && !skip) {
      if (yield* this.#handleNonFinite(batch, result)) return
    } else if (spike !== undefined)
      incident ??= this.#incident(
        'spike',
        `Loss ${result.loss.toPrecision(4)} is ${spike.toFixed(1)} standard deviations above its recent mean.${skip ? ' The step was not applied.' : ''}`,
      )
    result.release()
    if (finite) this.#watch.add(result.loss)
    if (update.applied) {
      average?.update()
      if (settings.onNonFinite !== 'roll-back' || this.#savedAt < 0) this.#failures = 0
    }
    const seconds = (performance.now() - from) / 1000
    const metrics = { ...result.metrics, ...lossScaleMetrics(lossScale, this.#state.lossScale) }
    this.#gradientNorm = update.gradientNorm
    this.#advance(batch)
    // Only now do weights and state belong together: a listener that throws at an event ends the run after a save.
    if (incident !== undefined) yield incident
    yield {
      ...this.#stamp(),
      type: 'step',
      loss: result.loss,
      ...(Object.keys(result.terms).length > 1 ? { terms: result.terms } : {}),
      ...(Object.keys(metrics).length > 0 ? { metrics } : {}),
      learningRate,
      gradientNorm: update.gradientNorm,
      ...(gradientNorms === undefined ? {} : { gradientNorms }),
      tokens: this.#state.tokens,
      tokensPerSecond: batch.tokens / seconds,
      seconds,
      dataSeconds,
      memoryBytes: processMemory(this.#run.device),
      totalSteps,
    }
    const last = this.#done()
    // Every trigger is asked at every step, or it would lose count.
    const now = {
      evaluate: this.#triggers.evaluate.now(this.#state),
      sample: this.#triggers.sample.now(this.#state),
      checkpoint: this.#triggers.checkpoint.now(this.#state),
    }
    const evaluate = this.#run.evaluate !== undefined && (now.evaluate || last)
    this.#state.pending = [...(evaluate ? ['evaluate' as const] : []), ...(now.sample ? ['sample' as const] : [])]
    // Saved first, so that an evaluation that fails or is killed costs no step.
    const canBeBest = evaluate && settings.keep.best !== undefined
    const wanted = (await this.#run.wantsCheckpoint?.(this.#state)) ?? false
    if (wanted || now.checkpoint || canBeBest || last || this.#stopping()) yield* this.#save()
    yield* this.#finishStep(this.#state.pending)
  }

  /** Makes the examples of the next batch, where the run makes them itself. */
  async *#fill(): AsyncGenerator<TrainingEvent> {
    const { settings, device, group } = this.#run
    // Processes of a group stop together, after a step.
    const signal = group === undefined ? this.#run.signal : undefined
    const { position, step, microTokens } = this.#state
    const { padded } = settings.batch
    notePhase(fillPhase)
    for await (const event of fillExamples(this.#run, position, { step, microTokens, padded, device, signal })) {
      const at = event.type === 'incident' ? step + 1 : step
      yield { ...this.#stamp(), ...event, step: at } as TrainingEvent
    }
  }

  /** Completes the examples of a batch. With less memory than that needs, its forward passes are halved. */
  async *#prepare(batch: TakenBatch<Example>): AsyncGenerator<TrainingEvent> {
    const { trainable, settings, device, group } = this.#run
    const { objective, model } = trainable
    if (objective.prepare === undefined) return
    notePhase('preparation')
    const padded = settings.batch.padded || mustPad(objective, model)
    for (;;) {
      const { microTokens, step } = this.#state
      try {
        const { position } = batch
        const { seed } = settings
        const context = { model, microTokens, padded, device, step, position, seed, ...shareOf(group) }
        const prepare = () => objective.prepare?.(batch.examples, context) ?? Promise.resolve(batch.examples)
        batch.examples = [...(await (objective.preparesWithModel === false ? prepare() : this.#whole(prepare)))]
        return
      } catch (error) {
        if (!isOutOfMemory(error)) throw error
        const longest = batch.examples.reduce((most, example) => Math.max(most, objective.tokens(example)), 1)
        if (microTokens < 2 * longest) throw error
        this.#state.microTokens = Math.floor(microTokens / 2)
        yield this.#incident(
          'out-of-memory',
          `Memory ran out: micro-batches are now ${this.#state.microTokens} tokens. The global batch and the loss stay as they were.`,
        )
      }
    }
  }

  /** Updates the parameters, unless the backward pass has done so already. */
  async *#apply(
    batch: TakenBatch<Example>,
    result: ReducedGradients,
    learningRate: number,
  ): AsyncGenerator<TrainingEvent, Update> {
    const updates = this.#updates
    if (updates === undefined) return await this.#update(result, learningRate)
    if (updates.passes === 2 && updates.beginSecond(learningRate, this.#run.settings.maxGradientNorm)) {
      const again = yield* this.#gradientsOfStep(batch)
      again.release()
    }
    return updates.end()
  }

  async #update(result: ReducedGradients, learningRate: number): Promise<Update> {
    const { optimizer, group, settings } = this.#run
    const { maxGradientNorm } = settings
    this.#sound = false
    notePhase('optimizer')
    const clipping = maxGradientNorm > 0 ? { maxGradientNorm } : {}
    const update = await takeStep(optimizer, group, result, { learningRate, ...clipping })
    if (update.applied) this.#afterUpdate(result.gradients, update)
    this.#sound = !update.applied
    return update
  }

  /** Changes the loss scale after a step. Returns the incident of a step whose gradients overflowed. */
  #rescale(finite: boolean, { applied }: Update): TrainingEvent | undefined {
    const { lossScale, step } = this.#state
    // A loss that is not finite is none of the scale's making: the policy for such steps decides.
    if (lossScale === undefined || !finite) return undefined
    const { growthInterval } = lossScaleSettings(this.#run.settings.lossScale)
    this.#state.lossScale = nextLossScale(lossScale, { overflow: !applied, growthInterval, step: step + 1 })
    return applied ? undefined : this.#incident('overflow', describeOverflow(this.#state.lossScale))
  }

  /** Lets the fine-tuning method act on an update. */
  #afterUpdate(gradients: ReadonlyMap<string, Tensor>, { gradientNorm }: Update): void {
    const { optimizer, settings, trainable } = this.#run
    const { method, parameters } = trainable
    // As the optimizer clips.
    const { maxGradientNorm } = settings
    const scale = maxGradientNorm > 0 ? Math.min(1, maxGradientNorm / (gradientNorm + 1e-6)) : 1
    const { weights } = optimizer
    method?.afterUpdate?.({ step: this.#state.step + 1, gradients, scale, weights, parameters })
  }

  /** Norms by layer, in the steps that record them. */
  async #layerNorms(result: ReducedGradients): Promise<Record<string, number> | undefined> {
    const { settings, group, trainable } = this.#run
    if (settings.gradientNorms === undefined || (this.#state.step + 1) % settings.gradientNorms !== 0) return undefined
    return layerNorms(result, trainable.parameters.keys(), group)
  }

  #seconds(): number {
    return this.#secondsBefore + (performance.now() - this.#started) / 1000
  }

  #advance(batch: TakenBatch<Example>): void {
    const state = this.#state
    state.step++
    state.position = batch.next
    state.tokens += batch.tokens
    this.#updates?.settle()
    if (this.#run.group === undefined) state.seconds = this.#seconds()
    this.#sound = true
  }

  /** The evaluation and the samples that follow a step. */
  async *#finishStep(pending: readonly Pending[]): AsyncGenerator<TrainingEvent> {
    if (pending.includes('evaluate')) yield* this.#evaluate()
    if (pending.includes('sample'))
      for (const shown of (await this.#whole(async () => this.#run.sample?.())) ?? [])
        yield { ...this.#stamp(), type: 'sample', ...shown }
    this.#state.pending = []
  }

  /** Runs work with all weights in memory. */
  #whole<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#run.shardedWeights?.whole(work) ?? work()
  }

  async *#evaluate(): AsyncGenerator<TrainingEvent> {
    const { evaluate, average } = this.#run
    if (evaluate === undefined) return
    const from = performance.now()
    notePhase(evaluationPhase)
    average?.swapIn()
    const metrics = await this.#whole(() => evaluate(this.#state)).finally(() => average?.swapOut())
    const best = this.#noteBest(metrics)
    const { plateau } = this.#run.settings
    const isBetter = best && this.#state.stale === 0
    if (plateau !== undefined) this.#state.plateau = afterEvaluation(plateau, this.#state.plateau, isBetter)
    yield { ...this.#stamp(), type: 'evaluation', metrics, seconds: (performance.now() - from) / 1000, best }
  }

  /**
   * Whether the metrics are the best so far by `keep.best`, of equal ones the last, which has learned for longer; counts the evaluations
   * since the value improved.
   */
  #noteBest(metrics: Record<string, number>): boolean {
    const name = this.#run.settings.keep.best
    const value = name === undefined ? undefined : metrics[name]
    if (name === undefined || value === undefined) return false
    const sign = isLowerBetter(name) ? -1 : 1
    const { best, step } = this.#state
    const isBetter = !Number.isNaN(value) && (best === null || sign * value > sign * best.value)
    this.#state.stale = isBetter ? 0 : this.#state.stale + 1
    if (!isBetter && value !== best?.value) return false
    this.#state.best = { step, value }
    return true
  }

  async *#save(save: TrainingRun['rescue'] = this.#run.save): AsyncGenerator<TrainingEvent> {
    if (save === undefined || this.#savedAt === this.#state.step) return
    const from = performance.now()
    const path = await save({ ...this.#state, losses: [...this.#watch.window], ...this.#carried() })
    this.#savedAt = this.#state.step
    this.#failures = 0
    if (path !== undefined)
      yield { ...this.#stamp(), type: 'checkpoint', path, seconds: (performance.now() - from) / 1000 }
  }

  #carried(): Pick<LoopState, 'carried'> {
    const { carried } = this.#run.trainable.objective
    return carried === undefined ? {} : { carried: carried.save() }
  }

  /** Saves the last whole step before an error ends the run. That this fails too must not hide the error. */
  async *#rescue(): AsyncGenerator<TrainingEvent> {
    if (!this.#sound || this.#updates?.changed || this.#state.step === this.#run.state.step) return
    try {
      yield* this.#save(this.#run.rescue ?? this.#run.save)
    } catch {
      // The error that ends the run is thrown by the caller.
    }
  }

  #gradientOptions(numbers: readonly number[]): GradientOptions {
    const { settings, device } = this.#run
    const { microTokens, recompute, step, lossScale } = this.#state
    const generator = reseed(this.#generator, settings.seed, step)
    const { padded } = settings.batch
    return { microTokens, padded, recompute, generator, numbers, device, lossScale: lossScale?.scale }
  }

  /** The examples of a batch that this process computes, with their numbers in the batch. */
  #own({ examples }: TakenBatch<Example>): { examples: Example[]; numbers: number[] } {
    const { group, trainable } = this.#run
    if (group === undefined) return { examples, numbers: examples.map((_, i) => i) }
    const tokens = examples.map((example) => trainable.objective.tokens(example))
    const numbers = assignRows(tokens, group.size)[group.rank]
    return { examples: numbers.map((number) => examples[number]), numbers }
  }

  /** The gradients of the whole batch, from those of this process's rows. */
  async #reduced(own: BatchGradients): Promise<ReducedGradients> {
    const { group, signal } = this.#run
    if (group === undefined || this.#exchange === undefined) return own
    notePhase('communication')
    const report = { stop: signal?.aborted === true, seconds: this.#seconds(), gradientNorm: this.#gradientNorm }
    const { result, stop, seconds } = await reduceGradients(group, this.#exchange, own, report)
    this.#agreedStop = stop
    this.#state.seconds = seconds
    return result
  }

  async *#gradients(batch: TakenBatch<Example>): AsyncGenerator<TrainingEvent, BatchGradients> {
    const { trainable, group, shardedWeights } = this.#run
    let { examples, numbers } = this.#own(batch)
    const exchange = this.#exchange
    const shared =
      this.#updates?.share(batch.examples) ??
      (group && exchange && shareBatch(trainable, batch.examples, group, exchange, shardedWeights))
    exchange?.begin()
    for (;;) {
      try {
        shardedWeights?.beginStep()
        const own = await computeGradients(trainable, examples, this.#gradientOptions(numbers), shared)
        shardedWeights?.endStep()
        return own
      } catch (error) {
        if (group !== undefined && error instanceof GroupError) throw await group.named(error)
        clearGrads([...trainable.parameters.values()])
        if (!isOutOfMemory(error)) throw error
        if (this.#updates !== undefined)
          throw new OutOfMemoryError(
            `${error.message} Micro-batches cannot shrink with \`updateInBackward\`: lower \`batch.sequences\`, or raise \`recompute\`, and resume.`,
          )
        if (exchange?.everyMicroBatch === true)
          throw new OutOfMemoryError(
            `${error.message} Micro-batches cannot shrink within a step with \`shard\` ${this.#run.settings.shard}: lower \`batch.microTokens\`, or raise \`recompute\`, and resume.`,
          )
        const change = this.#shrink(batch)
        if (change === undefined)
          throw new OutOfMemoryError(
            `${error.message} One example at a time with all layers recomputed still does not fit.`,
          )
        yield this.#incident(
          'out-of-memory',
          `Memory ran out: ${change}. The global batch and the loss stay as they were.`,
        )
        if (trainable.objective.comparesExamples) {
          yield* this.#prepare(batch)
          ;({ examples, numbers } = this.#own(batch))
        }
      }
    }
  }

  /** The gradients of the whole batch, with what the fine-tuning method does in this step. */
  async *#gradientsOfStep(batch: TakenBatch<Example>): AsyncGenerator<TrainingEvent, ReducedGradients> {
    const { settings, trainable } = this.#run
    trainable.method?.beginStep?.({ seed: settings.seed, step: this.#state.step })
    try {
      return yield* this.#mixedGradients(batch)
    } finally {
      trainable.method?.endStep?.()
    }
  }

  /** The gradients of the whole batch, at weights that are mixed with those of the base where the run says so. */
  async *#mixedGradients(batch: TakenBatch<Example>): AsyncGenerator<TrainingEvent, ReducedGradients> {
    const { mixout } = this.#run.trainable
    if (mixout === undefined) return await this.#reduced(yield* this.#gradients(batch))
    this.#sound = false
    mixout.begin(this.#state.step)
    let result: ReducedGradients | undefined
    try {
      result = await this.#reduced(yield* this.#gradients(batch))
      return result
    } finally {
      mixout.end(result?.gradients)
      this.#sound = true
    }
  }

  /** Halves the micro-batches, then recomputes more layers. Undefined when neither is possible. */
  #shrink(batch: TakenBatch<Example>): string | undefined {
    const { objective, model } = this.#run.trainable
    const state = this.#state
    const longest = batch.examples.reduce((most, example) => Math.max(most, objective.tokens(example)), 1)
    if (state.microTokens >= 2 * longest) {
      state.microTokens = Math.floor(state.microTokens / 2)
      return `micro-batches are now ${state.microTokens} tokens`
    }
    const { numLayers } = model.facts
    if (state.recompute >= numLayers) return undefined
    state.recompute = Math.min(numLayers, Math.max(1, state.recompute * 2))
    return `${state.recompute} of ${numLayers} layers are now recomputed in the backward pass`
  }

  /** Applies the policy for a step that is not finite. Returns true if an earlier checkpoint was restored. @throws NativeError */
  async *#handleNonFinite(
    batch: TakenBatch<Example>,
    result: BatchGradients,
  ): AsyncGenerator<TrainingEvent, boolean, void> {
    const { settings, stream } = this.#run
    const report = await this.#diagnose(batch, result)
    for (const position of report.examples) {
      const place = stream.place?.(position)
      if (place !== undefined) report.places.push(place)
    }
    result.release()
    // Within a backward pass, some weights may have changed before the others' gradients were computed.
    const isHalf = this.#updates?.changed ?? false
    if (report.weights.length > 0 || isHalf) this.#sound = false
    const step = this.#state.step + 1
    const path = await this.#run.recordIncident?.(step, report)
    const details = path === undefined ? '' : ` Details are in ${path}.`
    const applied = isHalf ? 'Parameters whose gradients came before were updated.' : 'The step was not applied.'
    yield this.#incident('non-finite', `${describeNonFinite(report)} ${applied}${details}`)
    if (settings.onNonFinite === 'stop')
      throw new NativeError(
        `Training stopped: the loss or a gradient of step ${step} is not finite.${details} Lower \`learningRate\`, look at the examples, or set \`onNonFinite\` to skip.`,
      )
    this.#failures++
    if (settings.onNonFinite === 'roll-back' && this.#failures < maxFailures) {
      const earlier = await this.#run.rollBack?.()
      if (earlier !== undefined) {
        yield this.#restore(earlier, batch)
        return true
      }
    }
    if (report.weights.length > 0 || isHalf || this.#failures >= maxFailures)
      throw new NativeError(
        `Training stopped in step ${step}: ${this.#failures === 1 ? 'skipping the batch' : `skipping ${this.#failures} batches`} did not help.${details} Lower \`learningRate\`, or look at the data.`,
      )
    return false
  }

  /** The processes of a group look at their own rows. */
  async #diagnose(batch: TakenBatch<Example>, result: BatchGradients): Promise<NonFiniteReport> {
    const { trainable, group } = this.#run
    const { examples, numbers } = this.#own(batch)
    const positions = numbers.map((number) => batch.position + number)
    const options = this.#gradientOptions(numbers)
    const report = await this.#whole(() => diagnose(trainable, examples, positions, result, options))
    report.parameters.push(...(this.#updates?.nonFinite ?? []))
    const found = (await group?.gather(report)) ?? [report]
    report.examples = found.flatMap((one) => one.examples).sort((a, b) => a - b)
    // Of a sharded gradient each process sees a part, else all see the same.
    const isPart = this.#run.optimizer instanceof ShardedOptimizer
    const known = new Map<string, number>()
    for (const { path, values } of found.flatMap((one) => one.parameters))
      known.set(path, isPart ? (known.get(path) ?? 0) + values : values)
    report.parameters = [...known].map(([path, values]) => ({ path, values }))
    return report
  }

  /** Weights and schedule go back to a checkpoint; the data continues after the batch that failed. */
  #restore(earlier: LoopState, batch: TakenBatch<Example>): TrainingEvent {
    const { microTokens, recompute, requested, best, stale, plateau, lossScale } = this.#state
    // The checkpoint was written before its step was evaluated, which has been done since.
    this.#state = {
      ...earlier,
      position: batch.next,
      microTokens,
      recompute,
      requested,
      best,
      stale,
      plateau,
      ...(lossScale && { lossScale }),
      pending: [],
    }
    this.#watch = new SpikeWatch(earlier.losses)
    this.#run.trainable.objective.carried?.load(earlier.carried)
    this.#savedAt = earlier.step
    this.#sound = true
    this.#updates?.settle()
    const message = `Restored the checkpoint of step ${earlier.step}; the batch is skipped.`
    return { ...this.#stamp(), type: 'incident', kind: 'roll-back', message }
  }
}
