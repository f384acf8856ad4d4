// Executes a run of any kind in its folder: locks the folder, builds the run, trains it and explains what ended it.
import { CheckpointError, ConfigError, diskFault, programCall, TunesmithError } from '../../core/index.ts'
import { inGroup, type ProcessGroup, readLaunch } from '../../distributed/index.ts'
import { checkGpu, deviceNotice, isDeterministic, setDeterministic, setMemoryLimit } from '../../tensor/index.ts'
import { lockRun } from '../../tracking/index.ts'
import { listSnapshots, type PreFlight } from '../../training/index.ts'
import { predictRun } from '../plan/predict-run.ts'
import { checkCode } from './code-changes.ts'
import { executeNonIterative } from './execute-non-iterative.ts'
import { executeSteps } from './execute-steps.ts'
import { expectGroupFits } from './group-checks.ts'
import { explainBudget } from './memory-limits.ts'
import { readPrediction, watchMemory } from './run-costs.ts'
import type { BuiltRun, CommonRecipe, RunKind } from './run-kind.ts'
import type { RunListener, RunMode, RunResult } from './run-listener.ts'
import { SharedData } from './shared-data.ts'

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
