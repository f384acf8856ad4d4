// Executes a run of any kind in its folder: locks the folder, builds the run, trains it and explains what ended it.
import { CheckpointError, diskFault, programCall, TunesmithError } from '../../core/index.ts'
import { setMemoryLimit } from '../../tensor/index.ts'
import { lockRun } from '../../tracking/index.ts'
import { predictRun } from '../plan/predict-run.ts'
import { executeNonIterative } from './execute-non-iterative.ts'
import { executeSteps } from './execute-steps.ts'
import { explainBudget } from './memory-limits.ts'
import { readPrediction, watchMemory } from './run-costs.ts'
import type { BuiltRun, CommonRecipe, RunKind } from './run-kind.ts'
import type { RunListener, RunMode, RunResult } from './run-listener.ts'
import { SharedData } from './shared-data.ts'

/** A full disk as one line with the remedy; other errors unchanged. */
export const explainDiskFault = (error: unknown, out: string): unknown => {
  const fault = diskFault(error)
  if (fault === undefined || error instanceof TunesmithError) return error
  return new CheckpointError(
    `${fault} while writing \`${out}\`. Earlier checkpoints are intact: free space, then \`${programCall('resume', out)}\`.`,
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

/** Executes a run of the given kind: from its start, or from the newest intact checkpoint in its folder. */
export const execute = async <Recipe extends CommonRecipe>(
  kind: RunKind<Recipe>,
  recipe: Recipe,
  mode: RunMode,
  listener: RunListener = {},
): Promise<RunResult> => {
  const { out, memoryBudget } = recipe
  const unlock = await lockRun(out)
  const shared = new SharedData()
  let run: BuiltRun | undefined
  try {
    await listener.onFolder?.(out)
    const fit = kind.nonIterative?.(recipe)
    if (fit !== undefined && memoryBudget !== undefined) setMemoryLimit(memoryBudget)
    if (fit !== undefined) return await within(memoryBudget, () => executeNonIterative(fit, recipe, mode, listener))
    const context = { say: (line: string) => listener.onNote?.(line), signal: listener.signal, shared }
    const prediction = mode === 'new' ? await predictRun(kind as RunKind, recipe, context) : await readPrediction(out)
    // Only now, as plans of larger runs than the budget allows are made too.
    if (memoryBudget !== undefined) setMemoryLimit(memoryBudget)
    const memory = watchMemory()
    run = await within(memoryBudget, () => kind.build(recipe, context))
    for (const note of run.notes) listener.onNote?.(note)
    return await executeSteps(run, mode, listener, { prediction, memory })
  } catch (error) {
    throw explainDiskFault(error, out)
  } finally {
    if (memoryBudget !== undefined) setMemoryLimit(undefined)
    run?.close()
    await shared.close()
    await unlock()
  }
}
