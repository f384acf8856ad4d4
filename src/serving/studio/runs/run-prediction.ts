// What a run was predicted to take: from its plan, or from its card where the plan is gone.
import { type RunPrediction, runFiles } from '../../../tracking/index.ts'
import type { RunEntry } from './run-entry.ts'

/** The prediction of a run; undefined without one. Both files are the program's own: a value that is missing is shown as such. */
export const predictionOf = async (entry: RunEntry): Promise<RunPrediction | undefined> => {
  const plan = await entry.readJson(runFiles.plan)
  return (plan ?? (await entry.readJson(runFiles.card))?.prediction) as RunPrediction | undefined
}
