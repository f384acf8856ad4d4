// Every endpoint of the studio.
import type { StudioEndpoint } from '../endpoint.ts'
import { alignmentFacts, answerOfRollout, preferences, rollout } from './alignment.ts'
import { comparedPredictions, comparison, runEvaluation } from './comparison.ts'
import { askPlayground, loadPlaygroundModel, playgroundState, runModels, unloadPlaygroundModel } from './playground.ts'
import { runChanges, runList } from './run-list.ts'
import { runCurves, runDetails, runEvents } from './run-pages.ts'
import { runBatch, runFilesOnDisk, runSamples } from './run-parts.ts'
import { runShare } from './run-share.ts'

export const studioEndpoints: readonly StudioEndpoint[] = [
  ...[runList, runChanges, runDetails, runCurves, runEvents, runBatch, runSamples, runFilesOnDisk, runShare],
  ...[comparison, comparedPredictions, runEvaluation],
  ...[alignmentFacts, rollout, answerOfRollout, preferences],
  ...[playgroundState, runModels, loadPlaygroundModel, unloadPlaygroundModel, askPlayground],
]
