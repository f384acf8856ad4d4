// Executes a run of any kind in its folder: locks the folder, builds the run, trains it or does its work without steps, and explains what ended it.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { memoryUsage } from 'node:process'
import {
  CheckpointError,
  ConfigError,
  diskFault,
  parseJson,
  programCall,
  TunesmithError,
  writeFileAtomic,
} from '../../core/index.ts'
import { inGroup, type ProcessGroup, readLaunch } from '../../distributed/index.ts'
import { checkGpu, deviceNotice, isDeterministic, setDeterministic, setMemoryLimit } from '../../tensor/index.ts'
import { lockRun, runFiles } from '../../tracking/index.ts'
import { listSnapshots, type PreFlight } from '../../training/index.ts'
import { predictRun } from '../plan/predict-run.ts'
import { executeSteps } from './execute-steps.ts'
import { hashCode, restoreFunctions } from './recipe-functions.ts'
import {
  type BuiltRun,
  type CommonRecipe,
  type FitResult,
  type NonIterativeFit,
  type RunKind,
  type RunListener,
  type RunMode,
  type RunRecipe,
  type RunResult,
  SharedData,
} from './run-kind.ts'
import { expectGroupFits, explainBudget } from './run-limits.ts'
import { openRecord, type RunRecord, readPrediction, watchMemory } from './run-record.ts'

/**
 * Keeps the hashes of the user's code in the folder of a new run, and compares those of a resumed one. Reads the functions of its recipe.
 * @returns lines for people
 * @throws ConfigError for a recipe file that throws, or is gone
 */
const checkCode = async (recipe: CommonRecipe, mode: RunMode): Promise<string[]> => {
  const path = join(recipe.out, runFiles.code)
  const now = await hashCode(recipe)
  const notes = await restoreFunctions(recipe, { again: mode !== 'new' })
  const text = mode === 'new' ? undefined : await readFile(path, 'utf8').catch(() => undefined)
  if (Object.keys(now).length === 0) return notes
  const before =
    text === undefined ? {} : (parseJson(text, { path, advice: () => 'Delete the file.' }) as Record<string, string>)
  await writeFileAtomic(path, `${JSON.stringify({ ...now, ...before }, null, 2)}\n`)
  const changed = Object.keys(now).filter((file) => before[file] !== undefined && before[file] !== now[file])
  return [
    ...notes,
    ...changed.map(
      (file) =>
        `warning: ${file} has changed since the run was started, and its new code is used: steps before and after may not be comparable. Restore the file, or start the run again in a new folder, for one result.`,
    ),
  ]
}

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
