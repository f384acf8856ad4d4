// What a run has around its training loop: checks before the first step, the restored state, perhaps under a larger budget, its first events, and how
// the loop saves and reports. Independent of the kind of run.
import { mkdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { CheckpointError, ConfigError, didYouMean, writeFileAtomic } from '../../core/index.ts'
import { onFirst, type ProcessGroup } from '../../distributed/index.ts'
import { ShardedOptimizer, scheduleAt } from '../../optim/index.ts'
import { metricDirection, readEvents, runFiles, takeCheckpointRequest } from '../../tracking/index.ts'
import {
  initialState,
  type LoopState,
  newestSnapshot,
  type PreFlight,
  preFlight,
  pruneSnapshots,
  type RiseWatch,
  removeLeftovers,
  resumedState,
  setAsideAfter,
  snapshotPath,
  stepName,
  type TrainingRun,
} from '../../training/index.ts'
import { restoreCheckpoint, saveCheckpoint } from './checkpoints.ts'
import type { BuiltRun, CommonRecipe, RunListener, RunMode, RunResult } from './run-kind.ts'
import type { RunRecord, StepCosts } from './run-record.ts'
import type { RunCallbacks } from './user-code.ts'

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
export const recordExtension = (
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
export interface Latest {
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

export const checkNew = async (run: BuiltRun, listener: RunListener): Promise<void> => {
  await checkBestMetric(run)
  for (const line of (await run.check?.()) ?? []) {
    run.notes.push(line)
    listener.onNote?.(line)
  }
}

export const checkRun = (run: BuiltRun): PreFlight => {
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
export const savedState = async (
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
export const startRecord = async (
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

/** Steps between two looks of a group of processes at requests for a checkpoint. */
const groupRequestSteps = 10

/** How the loop saves, restores and reports in the run's folder. */
export const callbacksOf = (
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
