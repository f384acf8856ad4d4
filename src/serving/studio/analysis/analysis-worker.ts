// A worker thread that analyses files of runs, so that the event loop of the studio stays free.
import { serveTasks } from '../../../core/index.ts'
import { type AnalysisName, analyses } from './analyses.ts'
import type { AnalysisTask } from './analysis-queue.ts'

serveTasks(async ({ name, input }: AnalysisTask): Promise<unknown> => {
  // Each analysis takes its own input, whose type `ask` has checked.
  const run = analyses[name as AnalysisName] as (input: unknown) => Promise<unknown>
  return run(input)
})
