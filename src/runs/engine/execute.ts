// Runs the loop in a run's folder: records what happens, writes checkpoints, and leaves a model, a card and reports behind.
import { cp, mkdir, readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { saveModel } from '../../checkpoint/index.ts'
import { CheckpointError, ConfigError, TunesmithError, writeFileAtomic, writeFolderAtomic } from '../../core/index.ts'
import { setMemoryLimit } from '../../tensor/index.ts'
import {
  EVENTS_FILE,
  lockRun,
  makeRunCard,
  type RunEvent,
  readEvents,
  trackRun,
  writeReports,
  writeRunCard,
} from '../../tracking/index.ts'
import {
  CHECKPOINTS,
  continuedState,
  type FoundSnapshot,
  freshState,
  INCIDENTS,
  type LoopState,
  listSnapshots,
  newestSnapshot,
  preFlight,
  pruneSnapshots,
  readSnapshot,
  removeLeftovers,
  type SnapshotParts,
  setAsideAfter,
  snapshotPath,
  type TrainingEvent,
  train,
  writeSnapshot,
} from '../../training/index.ts'
import { executeNonIterative } from './execute-non-iterative.ts'
import { MODEL_FOLDER, RUN_FILE, type RunListener, type RunResult, versions, writeRecipe } from './run-folder.ts'
import type { BuiltRun, CommonRecipe, RunKind } from './run-kind.ts'
import { openSessions } from './sessions.ts'

export type { RunListener, RunResult }
export { MODEL_FOLDER, RUN_FILE }

const partsOf = ({ trainable: trainee, optimizer, average, weights }: BuiltRun): SnapshotParts => ({
  model: trainee.model,
  auxiliary: trainee.auxiliary,
  optimizer,
  average,
  weights,
})

/** @throws ConfigError where a run is there already */
export const expectNewFolder = async (out: string): Promise<void> => {
  const present: string[] = await readdir(out).catch(() => [])
  if ([RUN_FILE, EVENTS_FILE, CHECKPOINTS].some((name) => present.includes(name)))
    throw new ConfigError(
      `Expected a new folder for \`out\`, found the run that is in ${out}. Go on with it (\`tunesmith resume ${out}\`), or name another.`,
    )
}

const diskFaults: Record<string, string> = {
  ENOSPC: 'room on the disk, got a full one',
  EDQUOT: 'room in the disk quota, got a full one',
  EFBIG: 'to write a larger file, got the limit on file sizes',
}

/** A full disk in one line; other errors as they are. */
const explained = (error: unknown, out: string): unknown => {
  const { code, message = '' } = error as NodeJS.ErrnoException
  const fault = diskFaults[code ?? ''] ?? (/no space left on device/i.test(message) ? diskFaults.ENOSPC : undefined)
  if (fault === undefined || error instanceof TunesmithError) return error
  return new CheckpointError(
    `Expected ${fault} for \`${out}\`. Checkpoints written before are whole: make room, then go on with \`tunesmith resume ${out}\`.`,
  )
}

/**
 * Carries out a run of the given kind: from the start (and writes its recipe), or from the newest whole checkpoint in its folder.
 */
export const execute = async <Recipe extends CommonRecipe>(
  kind: RunKind<Recipe>,
  recipe: Recipe,
  mode: 'fresh' | 'resume',
  listener: RunListener = {},
): Promise<RunResult> => {
  const { out } = recipe
  const unlock = await lockRun(out)
  let run: BuiltRun | undefined
  try {
    if (recipe.memoryBudget !== undefined) setMemoryLimit(recipe.memoryBudget)
    const work = kind.nonIterative?.(recipe)
    if (work !== undefined) return await executeNonIterative(work, recipe, mode, listener)
    run = await kind.build(recipe)
    for (const note of run.notes) listener.onNote?.(note)
    return await executeBuilt(run, mode, listener)
  } catch (error) {
    throw explained(error, out)
  } finally {
    if (recipe.memoryBudget !== undefined) setMemoryLimit(undefined)
    run?.close()
    await unlock()
  }
}

/** Undefined where the run has yet to begin. */
const savedState = async (run: BuiltRun, note: (line: string) => void): Promise<LoopState | undefined> => {
  const { recipe, trainable: trainee } = run
  await removeLeftovers(recipe.out)
  const { found, damaged } = await newestSnapshot(recipe.out)
  for (const line of damaged) note(line)
  if (found === undefined) {
    if (damaged.length > 0)
      throw new CheckpointError(`Expected a whole checkpoint in ${recipe.out}, but every one is damaged. ${damaged[0]}`)
    note('There is no checkpoint yet: the run begins again.')
    return undefined
  }
  const { optimizerStep: _, averageUpdates: __, ...state } = await readSnapshot(found.path, partsOf(run))
  await setAsideAfter(recipe.out, state.step)
  return continuedState(state, recipe, trainee.model.facts.numLayers)
}

interface Latest {
  step: number
  tokens: number
  loss: number
  metrics: Record<string, number>
}

/** What the records of a run that goes on say last. */
const latestOf = async (out: string, { step, tokens }: LoopState): Promise<Latest> => {
  const latest: Latest = { step, tokens, loss: Number.NaN, metrics: {} }
  for await (const event of readEvents(join(out, EVENTS_FILE))) {
    if (event.type === 'step') latest.loss = event.loss
    if (event.type === 'evaluation') latest.metrics = event.metrics
  }
  return latest
}

const executeBuilt = async (run: BuiltRun, mode: 'fresh' | 'resume', listener: RunListener): Promise<RunResult> => {
  const { recipe, trainable: trainee, stream, optimizer, average } = run
  const { out } = recipe
  const sessions = await openSessions(out, { fresh: mode === 'fresh' })
  const flight = preFlight({
    trainee,
    optimizer,
    stream,
    batch: recipe.batch,
    microTokens: recipe.batch.microTokens,
    vocabulary: run.vocabulary,
    vocabSize: trainee.model.facts.vocabSize,
    steps: run.length.timed ? undefined : run.length.totalSteps(freshState(recipe, trainee.model.facts.numLayers)),
    enoughSteps: run.enoughSteps,
    validationDocuments: run.validationDocuments,
    decode: (ids) => run.tokenizer.decode([...ids], { skipSpecialTokens: false }),
  })
  const saved = mode === 'resume' ? await savedState(run, (line) => listener.onNote?.(line)) : undefined
  const state = saved ?? freshState(recipe, trainee.model.facts.numLayers)
  if (mode === 'fresh') await writeRecipe(recipe)
  await listener.onPreFlight?.(flight, { fresh: saved === undefined, step: state.step })
  // Without a checkpoint a run begins again, and its records with it.
  const tracker = await trackRun(out, mode === 'fresh' ? {} : { resumeAt: saved?.step ?? -1 })
  const append = (event: TrainingEvent) => {
    tracker.append(event as RunEvent)
    listener.onEvent?.(event)
  }
  let last: Latest = { step: state.step, tokens: state.tokens, loss: Number.NaN, metrics: {} }
  let reason: 'finished' | 'interrupted' = 'interrupted'
  let examples = state.position
  try {
    if (saved !== undefined) last = await latestOf(out, saved)
    const time = new Date().toISOString()
    // Killed between the checkpoint and its record.
    if (saved !== undefined && tracker.cut?.checkpointFound === false) {
      const path = relative(out, snapshotPath(out, saved.step))
      append({ type: 'checkpoint', time, step: saved.step, path, seconds: 0, best: saved.best?.step === saved.step })
    }
    if (saved === undefined)
      for (const message of [...run.notes, ...flight.warnings]) tracker.append({ type: 'note', time, step: 0, message })
    const events = train({
      trainee,
      stream,
      optimizer,
      average,
      settings: recipe,
      learningRate: run.learningRate,
      length: run.length,
      state,
      device: recipe.device,
      signal: listener.signal,
      evaluate: run.evaluate,
      sample: run.sample,
      save: async (loop) => {
        // A kill right behind the rename must find every event before it.
        tracker.flush({ sync: true })
        const path = await writeSnapshot(out, partsOf(run), loop, { tokenizer: run.tokenizerFiles })
        examples = loop.position
        await sessions.note()
        const { best } = loop
        await pruneSnapshots(out, { last: recipe.keep.last, every: recipe.keep.every, best: best?.step })
        return relative(out, path)
      },
      rollBack: async () => {
        const { found } = await newestSnapshot(out)
        if (found === undefined) return undefined
        const { optimizerStep: _, averageUpdates: __, ...loop } = await readSnapshot(found.path, partsOf(run))
        return loop
      },
      recordIncident: async (step, report) => {
        const path = join(INCIDENTS, `step-${String(step).padStart(8, '0')}.json`)
        await mkdir(join(out, INCIDENTS), { recursive: true })
        await writeFileAtomic(join(out, path), `${JSON.stringify(report, null, 2)}\n`)
        return path
      },
    })
    for await (const event of events) {
      // A run that was stopped before its first step has begun all the same.
      if (event.type === 'start' && saved !== undefined) continue
      if (event.type === 'step') last = { ...last, loss: event.loss, step: event.step, tokens: event.tokens }
      if (event.type === 'evaluation') last = { ...last, metrics: event.metrics }
      if (event.type === 'end') reason = event.reason
      append(event)
    }
    tracker.close()
  } catch (error) {
    const { message } = explained(error, out) as Error
    const time = new Date().toISOString()
    try {
      tracker.append({ type: 'end', reason: 'failed', time, step: last.step, message })
      tracker.close()
    } catch {
      // The disk that stopped the run may have no room for saying so either; the error itself says it.
    }
    await sessions.note().catch(() => {})
    sessions.stop()
    throw error
  }
  const { model, metrics = last.metrics } = reason === 'finished' ? await exportModel(run) : {}
  await sessions.note()
  const { count, wallSeconds, cpuSeconds, energyJoules } = sessions.total()
  sessions.stop()
  const card = makeRunCard({
    name: out,
    seed: recipe.seed,
    versions: await versions(),
    dataHashes: run.hashes,
    config: recipe,
    steps: last.step,
    tokens: last.tokens,
    examples,
    wallSeconds,
    cpuSeconds,
    resumed: count - 1,
    parameters: flight.parameters,
    flops: flight.flopsPerToken * last.tokens,
    energyJoules,
    pricePerHour: recipe.pricePerHour,
    results: { ...metrics },
  })
  await writeRunCard(out, card)
  await writeReports(out)
  return {
    out,
    model,
    reason,
    steps: last.step,
    tokens: last.tokens,
    seconds: wallSeconds,
    loss: last.loss,
    metrics,
  }
}

/** Leaves the run's MODEL: the best checkpoint where one was asked for, else the last; with averaged weights where they are kept. */
const exportModel = async (run: BuiltRun): Promise<{ model: string; metrics?: Record<string, number> }> => {
  const { recipe, trainable: trainee, average } = run
  const target = join(recipe.out, MODEL_FOLDER)
  const snapshots = await listSnapshots(recipe.out)
  const best = recipe.keep.best === undefined ? undefined : await bestSnapshot(snapshots)
  const chosen = best ?? snapshots[0]
  if (run.exportModel !== undefined) {
    if (chosen !== undefined) await readSnapshot(chosen.path, partsOf(run))
    average?.swapIn()
    try {
      return { model: target, metrics: await run.exportModel(target) }
    } finally {
      average?.swapOut()
    }
  }
  if (average === undefined)
    await writeFolderAtomic(target, (folder) => cp(join(chosen.path, 'model'), folder, { recursive: true }))
  else {
    if (best !== undefined) await readSnapshot(best.path, partsOf(run))
    average.swapIn()
    try {
      await saveModel(trainee.model, target, { tokenizer: run.tokenizerFiles })
    } finally {
      average.swapOut()
    }
  }
  return { model: target }
}

const bestSnapshot = async (snapshots: readonly FoundSnapshot[]): Promise<FoundSnapshot | undefined> => {
  const text = await readFile(join(snapshots[0].path, 'state.json'), 'utf8')
  const { best } = JSON.parse(text) as LoopState
  return snapshots.find(({ step }) => step === best?.step)
}
