// Executes a run of any kind in its folder: locks the folder, builds the run, trains it with checkpoints and events or does its work without steps,
// exports the model, and explains what ended it.
import { memoryUsage } from 'node:process'
import { CheckpointError, ConfigError, diskFault, programCall, TunesmithError } from '../../core/index.ts'
import { inGroup, onFirst, type ProcessGroup, readLaunch } from '../../distributed/index.ts'
import { checkGpu, deviceNotice, isDeterministic, setDeterministic, setMemoryLimit } from '../../tensor/index.ts'
import { lockRun, type TrainingEvent } from '../../tracking/index.ts'
import { initialState, type LoopState, listSnapshots, type PreFlight, RiseWatch, train } from '../../training/index.ts'
import { predictRun } from '../plan/predict-run.ts'
import { exportModel } from './checkpoints.ts'
import { callbacksOf, checkNew, checkRun, type Latest, recordExtension, savedState, startRecord } from './loop-setup.ts'
import { checkCode } from './recipe-functions.ts'
import {
  type BuiltRun,
  type CommonRecipe,
  type FitResult,
  type ModelVisitor,
  type NonIterativeFit,
  type RunKind,
  type RunListener,
  type RunMode,
  type RunRecipe,
  type RunResult,
  SharedData,
} from './run-kind.ts'
import { expectBudgetFits, expectGroupFits, explainBudget } from './run-limits.ts'
import {
  expectNewFolder,
  openRecord,
  type RunRecord,
  readPrediction,
  type StartCosts,
  StepCosts,
  watchMemory,
  writePrediction,
} from './run-record.ts'
import { RunCallbacks } from './user-code.ts'

/** @param group processes that divide the work, of which the first one writes and shows it */
const executeNonIterative = async (
  work: NonIterativeFit,
  recipe: RunRecipe,
  mode: RunMode,
  listener: RunListener,
  group?: ProcessGroup,
): Promise<RunResult> => {
  const { signal } = listener
  if (mode === 'resume') listener.onNote?.('Starting again; features that are in the cache are not computed again.')
  // Its one step and its start are of no use to a listener that shows a loop.
  const shown: RunListener = {
    ...listener,
    onEvent: (event) => {
      if (event.type === 'evaluation' || event.type === 'end') listener.onEvent?.(event)
    },
  }
  const silent = group !== undefined && !group.first
  const record = await openRecord(recipe, mode, shown, { silent })
  await record.start()
  const at = (step: number) => ({ time: new Date().toISOString(), step })
  try {
    record.append({ type: 'start', ...at(0), totalSteps: 1 })
    const started = performance.now()
    const result = await work({
      note: (line) => record.note(line),
      say: (line) => listener.onNote?.(line),
      signal,
      ...(group && { group }),
    })
    appendResult(record, result, (performance.now() - started) / 1000)
    return await record.finish({ ...result, reason: 'finished', steps: 1 })
  } catch (error) {
    if (signal?.aborted !== true || silent) {
      await record.fail(error as Error, 0)
      throw error
    }
    // The others may wait for this process: they end by its error, while this one writes what it has.
    group?.abort(error as Error)
    record.append({ type: 'end', ...at(0), reason: 'interrupted' })
    return record.finish({ ...nothing, reason: 'interrupted', steps: 0 })
  }
}

const nothing = { loss: Number.NaN, metrics: {}, tokens: 0, examples: 0, parameters: 0, flops: 0, hashes: {} }

const appendResult = (record: RunRecord, { loss, tokens, metrics }: FitResult, seconds: number): void => {
  const at = { time: new Date().toISOString(), step: 1 }
  record.append({
    type: 'step',
    ...at,
    loss,
    learningRate: Number.NaN,
    gradientNorm: Number.NaN,
    tokens,
    tokensPerSecond: tokens / seconds,
    seconds,
    dataSeconds: 0,
    memoryBytes: memoryUsage.rss(),
    totalSteps: 1,
  })
  record.append({ type: 'evaluation', ...at, metrics, seconds: 0, best: true })
  record.append({ type: 'end', ...at, reason: 'finished' })
}

/** A full disk as one line with the remedy; other errors unchanged. */
export const explainDiskFault = async (error: unknown, out: string): Promise<unknown> => {
  const fault = diskFault(error)
  if (fault === undefined || error instanceof TunesmithError) return error
  const saved = await listSnapshots(out)
  const remains = saved.length === 0 ? 'The run has no checkpoint and begins again' : 'Earlier checkpoints are intact'
  return new CheckpointError(
    `${fault} while writing \`${out}\`. ${remains}: free space, then \`${programCall('resume', out)}\`.`,
  )
}

/** Work that cannot be done in smaller parts. @throws ConfigError where the memory budget is too small for it */
const within = async <Result>(memoryBudget: number | undefined, work: () => Promise<Result>): Promise<Result> => {
  try {
    return await work()
  } catch (error) {
    throw explainBudget(error, memoryBudget)
  }
}

const warnProcess = (warnings: readonly string[]): void => {
  for (const warning of warnings) process.emitWarning(warning, 'TunesmithWarning')
}

/** Whether the caller is shown anything of a run. If not, warnings go to the process: Node prints them. */
const isHeard = ({ onPreFlight, onEvent, onNote }: RunListener): boolean =>
  (onPreFlight ?? onEvent ?? onNote) !== undefined

/**
 * Executes a run of the given kind: from its start, or from the newest intact checkpoint in its folder. Processes that a launcher
 * started execute it together: the first one writes and shows it.
 */
export const execute = async <Recipe extends CommonRecipe>(
  kind: RunKind<Recipe>,
  recipe: Recipe,
  mode: RunMode,
  given: RunListener = {},
): Promise<RunResult> => {
  const heard = isHeard(given)
  const listener = heard ? given : { ...given, onPreFlight: ({ warnings }: PreFlight) => warnProcess(warnings) }
  const result = await inGroup((group) =>
    executeInFolder(kind, recipe, mode, group?.first === false ? { signal: listener.signal } : listener, group),
  )
  if (!heard && (readLaunch()?.rank ?? 0) === 0) warnProcess(result.warnings)
  return result
}

/** Executes a new run in its folder. @throws ConfigError for a folder that has a run, or files that a run would replace */
export const startRun = async <Recipe extends CommonRecipe>(
  kind: RunKind<Recipe>,
  recipe: Recipe,
  listener: RunListener,
): Promise<RunResult> => {
  await expectNewFolder(recipe.out)
  return execute(kind, recipe, 'new', listener)
}

const executeInFolder = async <Recipe extends CommonRecipe>(
  kind: RunKind<Recipe>,
  recipe: Recipe,
  mode: RunMode,
  listener: RunListener,
  group?: ProcessGroup,
): Promise<RunResult> => {
  const { out, memoryBudget, deterministic, device } = recipe
  const before = isDeterministic()
  const unlock = group === undefined || group.first ? await lockRun(out) : async () => {}
  const shared = new SharedData()
  let run: BuiltRun | undefined
  try {
    if (deterministic) setDeterministic(true)
    if (mode === 'new' && group === undefined && recipe.shard !== 'none')
      throw new ConfigError(
        `Expected several processes for \`shard\` ${recipe.shard}, got one. Start the run with \`launch\`, or set \`shard\` to none.`,
      )
    await listener.onFolder?.(out)
    for (const line of await checkCode(recipe, mode)) listener.onNote?.(line)
    const notice = deviceNotice(recipe.device)
    if (notice !== undefined) listener.onNote?.(notice)
    checkGpu(recipe.device)
    const fit = kind.nonIterative?.(recipe)
    if (fit !== undefined && memoryBudget !== undefined) setMemoryLimit(memoryBudget, device)
    if (fit !== undefined)
      return await within(memoryBudget, () => executeNonIterative(fit, recipe, mode, listener, group))
    const context = { say: (line: string) => listener.onNote?.(line), signal: listener.signal, shared }
    const isFirst = group === undefined || group.first
    // A run that was stopped before it had a plan gets one when it goes on.
    const planned = mode === 'resume' && isFirst ? await readPrediction(out) : undefined
    const prediction = isFirst
      ? (planned ?? (await predictRun(kind as RunKind, recipe, { ...context, group })))
      : undefined
    // Only now, as plans of larger runs than the budget allows are made too.
    if (memoryBudget !== undefined) setMemoryLimit(memoryBudget, device)
    const memory = watchMemory(recipe.device)
    // The others find what the first process encoded in the cache.
    const build = () => within(memoryBudget, () => kind.build(recipe, { ...context, ...(group && { group }) }))
    run = group === undefined ? await build() : await group.firstBefore(build)
    if (group !== undefined) await expectGroupFits(group, run)
    for (const note of run.notes) listener.onNote?.(note)
    return await executeSteps(run, mode, listener, { prediction, isPlanned: planned !== undefined, memory }, group)
  } catch (error) {
    throw await explainDiskFault(error, out)
  } finally {
    if (memoryBudget !== undefined) setMemoryLimit(undefined, device)
    if (deterministic) setDeterministic(before)
    run?.close()
    await shared.close()
    await unlock()
  }
}

const executeSteps = async (
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
