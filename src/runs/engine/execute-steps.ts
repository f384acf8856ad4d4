// Executes the training loop in a run's folder: pre-flight, checkpoints, events, a larger budget, and the model at the end. Independent of the
// kind of run.
import { mkdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { CheckpointError, ConfigError, didYouMean, writeFileAtomic } from '../../core/index.ts'
import { onFirst, type ProcessGroup } from '../../distributed/index.ts'
import { ShardedOptimizer, scheduleAt } from '../../optim/index.ts'
import {
  metricDirection,
  readEvents,
  runFiles,
  type TrainingEvent,
  takeCheckpointRequest,
} from '../../tracking/index.ts'
import {
  initialState,
  type LoopState,
  newestSnapshot,
  type PreFlight,
  preFlight,
  pruneSnapshots,
  RiseWatch,
  removeLeftovers,
  resumedState,
  setAsideAfter,
  snapshotPath,
  stepName,
  type TrainingRun,
  train,
} from '../../training/index.ts'
import { exportModel, restoreCheckpoint, saveCheckpoint } from './checkpoints.ts'
import { explainDiskFault } from './execute.ts'
import type { BuiltRun, CommonRecipe, ModelVisitor, RunListener, RunMode, RunResult } from './run-kind.ts'
import { expectBudgetFits } from './run-limits.ts'
import { openRecord, type RunRecord, type StartCosts, StepCosts, writePrediction } from './run-record.ts'
import { RunCallbacks } from './user-code.ts'

/** The parts of a run that the check needs. */
export interface MeasuredRun extends Pick<BuiltRun, 'evaluate' | 'metrics'> {
  recipe: Pick<CommonRecipe, 'evaluate' | 'keep' | 'patience' | 'plateau'>
}

/** @throws ConfigError for `keep.best`, `patience` or `plateau` that would have no effect */
export const checkBestMetric = async ({ recipe, evaluate, metrics }: MeasuredRun): Promise<void> => {
  const { keep, patience, plateau } = recipe
  if (keep.best === undefined) {
    if (patience === undefined && plateau === undefined) return
    const setting = patience === undefined ? 'plateau' : 'patience'
    throw new ConfigError(`\`${setting}\` needs a metric to watch: set \`keep.best\`, for instance to loss.`)
  }
  if (evaluate === undefined || metrics === undefined)
    throw new ConfigError(
      '`keep.best` needs validation data: encode the corpus with a validation split (`--validation 0.05`), and leave `validationExamples` above 0.',
    )
  if (Object.values(recipe.evaluate).every((value) => value === undefined))
    throw new ConfigError('`keep.best` needs evaluations: set `evaluate.steps`.')
  if (metrics.known.includes(keep.best) && metricDirection(keep.best) !== undefined) return
  const measured = await metrics.measure()
  const names = measured.filter((name) => metricDirection(name) !== undefined)
  if (names.includes(keep.best)) return
  if (measured.includes(keep.best))
    throw new ConfigError(
      `Expected a metric for \`keep.best\` of which higher or lower is better (${names.join(', ')}), got ${keep.best}. Choose one of them; a package declares its own with \`registerMetricInfo\` of tunesmith/tracking.`,
    )
  throw new ConfigError(
    `Expected a metric of this run for \`keep.best\` (${names.join(', ')}), got ${keep.best}.${didYouMean(keep.best, names)}`,
  )
}

/** The error for a run that has no checkpoint to go on from. */
const noCheckpoint = (out: string): ConfigError =>
  new ConfigError(`Expected a checkpoint in ${out} to go on from, found none. Start a run with the larger budget.`)

/**
 * The state of a run at its last checkpoint, under a new budget. Patience begins anew, as a run that it ended would end again at once.
 * @throws ConfigError for a budget that is spent already
 */
const extendedState = (state: LoopState, { length, recipe: { budget } }: BuiltRun): LoopState => {
  if (length.done(state))
    throw new ConfigError(
      `Expected a budget beyond step ${state.step}, where the run is after ${state.tokens} tokens, got ${JSON.stringify(budget)}. Raise it.`,
    )
  return { ...state, stale: 0 }
}

/**
 * Notes where a run goes on, how long it is now, and that its schedule, which has another length, raises the learning rate.
 * @param before learning rate of its last step; undefined before the first one
 */
const recordExtension = (
  record: RunRecord,
  { length, learningRate, recipe: { schedule } }: BuiltRun,
  state: LoopState,
  before: number | undefined,
): void => {
  const { step } = state
  const totalSteps = length.totalSteps(state)
  record.append({
    type: 'start',
    time: new Date().toISOString(),
    step,
    ...(length.timed ? {} : { totalSteps }),
  })
  const next = learningRate * scheduleAt(schedule, { step, totalSteps })
  if (before === undefined || next <= before) return
  record.note(
    `The learning rate rises from ${before.toPrecision(3)} to ${next.toPrecision(3)} at step ${step + 1}: the schedule (${schedule.type}) covers ${totalSteps} steps now.`,
    step,
  )
}

/** What is known of a run's last step and evaluation. */
interface Latest {
  step: number
  tokens: number
  /** Examples up to the last checkpoint. */
  examples: number
  loss: number
  /** Of the last step; undefined before the first one. */
  learningRate?: number
  metrics: Record<string, number>
  /** Step of the best evaluation by `keep.best`. */
  best?: number
  rise: RiseWatch
  costs: StepCosts
  reason: RunResult['reason']
  cause?: RunResult['cause']
}

export const executeSteps = async (
  run: BuiltRun,
  mode: RunMode,
  listener: RunListener,
  start: StartCosts,
  group?: ProcessGroup,
): Promise<RunResult> => {
  const { recipe, trainable } = run
  const record = await openRecord(recipe, mode, listener, { silent: group !== undefined && !group.first })
  const flight = checkRun(run)
  expectBudgetFits(recipe.memoryBudget, flight.memory.gradients, recipe.device)
  if (mode === 'new') await onFirst(group, () => checkNew(run, listener))
  const saved = mode === 'new' ? undefined : await savedState(run, mode, (line) => listener.onNote?.(line), group)
  const state = saved ?? initialState(recipe, trainable.model.facts.numLayers)
  const callbacks = new RunCallbacks(recipe, group === undefined || group.first)
  const { prediction } = start
  await listener.onPreFlight?.(flight, { resumed: saved !== undefined, step: state.step, prediction })
  const { step, tokens, position: examples } = state
  const latest: Latest = {
    step,
    tokens,
    examples,
    loss: Number.NaN,
    metrics: {},
    rise: new RiseWatch(),
    costs: new StepCosts(),
    reason: 'interrupted',
  }
  if (state.best !== null) latest.best = state.best.step
  callbacks.open()
  try {
    await startRecord(record, run, saved, flight, latest, callbacks)
    if (mode === 'extend') recordExtension(record, run, state, latest.learningRate)
    if (prediction !== undefined && !start.isPlanned) await writePrediction(recipe.out, prediction)
    const { signal } = listener
    // From here on each process has its part of the weights only.
    run.shardedWeights?.close()
    run.besideWeights?.close()
    await withVisitor(run, listener, (visitor) =>
      trainRun(record, run, { state, isResumed: saved !== undefined, latest, signal, visitor, callbacks, group }),
    )
    callbacks.check()
    record.close()
  } catch (error) {
    await record.fail((await explainDiskFault(error, recipe.out)) as Error, latest.step)
    throw error
  } finally {
    callbacks.close()
  }
  const measured = latest.costs.measurement(start)
  const { reason, cause, step: steps, tokens: seen, loss } = latest
  const { model, modelStep, scores }: Partial<Awaited<ReturnType<typeof exportModel>>> =
    reason === 'finished' ? await exportModel(run, latest.best, group) : {}
  const { parameters } = flight
  return record.finish({
    reason,
    cause,
    model,
    modelStep,
    steps,
    tokens: seen,
    examples: latest.examples,
    loss,
    metrics: latest.metrics,
    ...scores,
    ...(reason === 'finished' && { warnings: [...latest.rise.warnings(), ...(scores?.warnings ?? [])] }),
    parameters,
    flops: measured.flops ?? flight.flopsPerToken * seen,
    prediction,
    measured,
    hashes: run.hashes,
  })
}

/** Trains, with the visitor that the listener opens on the model, if there is one. */
const withVisitor = async (
  { trainable: { model }, tokenizer, chatTemplate, recipe: { out }, shardedWeights }: BuiltRun,
  listener: RunListener,
  trainWith: (visitor: ModelVisitor | undefined) => Promise<void>,
): Promise<void> => {
  const template = chatTemplate ?? tokenizer.chatTemplate
  if (shardedWeights !== undefined && listener.onModel !== undefined)
    throw new ConfigError('`--ui` needs all weights between steps: set `shard` to gradients, or leave it out.')
  const visitor = await listener.onModel?.({
    model,
    tokenizer,
    folder: out,
    ...(template === undefined ? {} : { template }),
  })
  try {
    await trainWith(visitor)
  } finally {
    await visitor?.close()
  }
}

/** The checks of a run that has not begun. */
const checkNew = async (run: BuiltRun, listener: RunListener): Promise<void> => {
  await checkBestMetric(run)
  for (const line of (await run.check?.()) ?? []) {
    run.notes.push(line)
    listener.onNote?.(line)
  }
}

const checkRun = (run: BuiltRun): PreFlight => {
  const { recipe, trainable, optimizer, stream, vocabulary, tokenizer, length, learningRate } = run
  const start = initialState(recipe, trainable.model.facts.numLayers)
  return preFlight({
    trainable,
    optimizer,
    stream,
    steps: length.timed ? undefined : length.totalSteps(start),
    enoughSteps: run.enoughSteps,
    learningRate,
    schedule: recipe.schedule,
    validationDocuments: run.validationDocuments,
    batch: recipe.batch,
    microTokens: recipe.batch.microTokens,
    vocabulary,
    vocabSize: trainable.model.facts.vocabSize,
    decode: (ids) => tokenizer.decode([...ids], { skipSpecialTokens: false }),
  })
}

/** The state of the newest intact checkpoint, restored; undefined if the run has none yet. */
const savedState = async (
  run: BuiltRun,
  mode: Exclude<RunMode, 'new'>,
  note: (line: string) => void,
  group?: ProcessGroup,
): Promise<LoopState | undefined> => {
  const { recipe, trainable } = run
  const { found, damaged } = await onFirst(group, async () => {
    await removeLeftovers(recipe.out)
    return newestSnapshot(recipe.out)
  })
  for (const line of damaged) note(line)
  if (found === undefined) {
    if (damaged.length > 0)
      throw new CheckpointError(`Every checkpoint in ${recipe.out} is damaged: start the run again. ${damaged[0]}`)
    if (mode === 'extend') throw noCheckpoint(recipe.out)
    note('There is no checkpoint yet: the run starts again.')
    return undefined
  }
  const restored = await restoreCheckpoint(run, found.path)
  const state = mode === 'extend' ? extendedState(restored, run) : restored
  await onFirst(group, () => setAsideAfter(recipe.out, state.step))
  return resumedState(state, recipe, trainable.model.facts.numLayers)
}

/** Opens the events. A resumed run takes its last results from them; a new one writes the notes of its build. */
const startRecord = async (
  record: RunRecord,
  { recipe: { out }, notes, stream }: BuiltRun,
  saved: LoopState | undefined,
  flight: PreFlight,
  latest: Latest,
  callbacks: RunCallbacks,
): Promise<void> => {
  const cut = await record.start(saved?.step)
  if (saved === undefined) {
    for (const message of [...notes, ...flight.warnings]) record.store(message)
    return
  }
  for await (const event of readEvents(join(out, runFiles.events))) {
    if (event.type === 'step') {
      Object.assign(latest, { loss: event.loss, learningRate: event.learningRate })
      latest.costs.add(event)
    }
    if (event.type === 'step' && stream.online === undefined) latest.rise.add(event.loss)
    if (event.type === 'evaluation') latest.metrics = event.metrics
    callbacks.note(event)
  }
  // A process that is killed between a checkpoint and its event leaves the event out.
  if (cut?.checkpointFound !== false) return
  const path = relative(out, snapshotPath(out, saved.step))
  record.append({ type: 'checkpoint', time: new Date().toISOString(), step: saved.step, path, seconds: 0 })
}

interface TrainOptions {
  state: LoopState
  isResumed: boolean
  latest: Latest
  signal?: AbortSignal | undefined
  visitor: ModelVisitor | undefined
  callbacks: RunCallbacks
  group?: ProcessGroup
}

const trainRun = async (
  record: RunRecord,
  run: BuiltRun,
  { state, isResumed, latest, signal, visitor, callbacks, group }: TrainOptions,
): Promise<void> => {
  const { trainable, stream, optimizer, average, shardedWeights, learningRate, length, evaluate, sample, recipe } = run
  const events = train({
    trainable,
    stream,
    optimizer,
    average,
    shardedWeights,
    settings: recipe,
    learningRate,
    length: { ...length, done: (at) => callbacks.stopped || length.done(at) },
    state,
    device: recipe.device,
    signal,
    ...(visitor === undefined ? {} : { beforeStep: ({ step }: LoopState) => visitor.beforeStep(step) }),
    group,
    evaluate,
    sample: sample && (() => onFirst(group, sample)),
    ...callbacksOf(record, run, latest, group),
  })
  const take = (event: TrainingEvent): void => {
    // A run that was stopped before its first step has its start event already.
    if (event.type === 'start' && isResumed) return
    if (event.type === 'step') {
      Object.assign(latest, { loss: event.loss, step: event.step, tokens: event.tokens })
      latest.costs.add(event)
    }
    if (event.type === 'evaluation') latest.metrics = event.metrics
    if (event.type === 'evaluation' && event.best) latest.best = event.step
    if (event.type === 'end' && event.reason === 'finished')
      Object.assign(latest, { reason: 'finished', cause: event.cause })
    record.append(event)
    // The loss of examples that the model itself makes, rollouts, has no scale that its first step sets.
    const rise = event.type === 'step' && stream.online === undefined ? latest.rise.add(event.loss) : undefined
    if (rise !== undefined)
      record.append({ type: 'incident', kind: 'divergence', time: event.time, step: event.step, message: rise })
  }
  for (let next = await events.next(); next.done !== true; next = await events.next()) {
    try {
      take(next.value)
      await callbacks.take(next.value, signal)
    } catch (error) {
      await endWith(events, error, (event) => record.keep(event))
    }
  }
}

/** Ends the loop with the error of a listener, or of a record that cannot be written. The loop saves its last sound weights first. */
const endWith = async (
  events: ReturnType<typeof train>,
  error: unknown,
  keep: (event: TrainingEvent) => void,
): Promise<never> => {
  for (let next = await events.throw(error); next.done !== true; next = await events.next()) {
    try {
      keep(next.value)
    } catch {
      // The first error tells more.
    }
  }
  throw error
}

/** Steps between two looks of a group of processes at requests for a checkpoint. */
const groupRequestSteps = 10

/** How the loop saves, restores and reports in the run's folder. */
const callbacksOf = (
  record: RunRecord,
  run: BuiltRun,
  latest: Latest,
  group?: ProcessGroup,
): Pick<TrainingRun, 'save' | 'rescue' | 'wantsCheckpoint' | 'rollBack' | 'recordIncident'> => {
  const { out, keep } = run.recipe
  const save = async (state: LoopState, among = group): Promise<string> => {
    const path = await saveCheckpoint(run, state, among, () => record.sync())
    // Only the first process has a record.
    return onFirst(among, async () => {
      await record.noteSession()
      await pruneSnapshots(out, { last: keep.last, every: keep.every, best: state.best?.step })
      return relative(out, path)
    })
  }
  return {
    save: (state) => {
      latest.examples = state.position
      return save(state)
    },
    // The other processes may be gone.
    ...(group && {
      rescue: async (state: LoopState) =>
        group.first && !(run.optimizer instanceof ShardedOptimizer) ? save(state, undefined) : undefined,
    }),
    wantsCheckpoint: ({ step }) => {
      if (group === undefined) return takeCheckpointRequest(out)
      // All processes agree, which takes a message: not after every step.
      return step % groupRequestSteps === 0 && group.fromFirst(() => takeCheckpointRequest(out))
    },
    rollBack: async () => {
      const { found } = await onFirst(group, () => newestSnapshot(out))
      return found === undefined ? undefined : restoreCheckpoint(run, found.path)
    },
    recordIncident: async (step, report) => {
      // From where the run was started, as people open the file from there.
      const path = join(out, runFiles.incidents, `${stepName(step)}.json`)
      if (group !== undefined && !group.first) return path
      await mkdir(join(out, runFiles.incidents), { recursive: true })
      await writeFileAtomic(path, `${JSON.stringify(report, null, 2)}\n`)
      return path
    },
  }
}
