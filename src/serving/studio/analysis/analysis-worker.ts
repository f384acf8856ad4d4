// A worker thread that analyses files of runs, so that the event loop of the studio stays free.

import { serveTasks } from '../../../core/index.ts'
import { preferencePage, rolloutAnswer, rolloutPage } from './alignment-pages.ts'
import type { AnalysisTask } from './analysis-queue.ts'
import { compareChosen, predictionPage } from './compare-chosen.ts'

const analyses = { compareChosen, predictionPage, rolloutPage, rolloutAnswer, preferencePage }

export type Analyses = typeof analyses
type AnalysisName = keyof Analyses

serveTasks(async ({ name, input }: AnalysisTask): Promise<unknown> => {
  // Each analysis takes its own input, whose type `ask` has checked.
  const run = analyses[name as AnalysisName] as (input: unknown) => Promise<unknown>
  return run(input)
})
