// Every endpoint of the studio.
import type { StudioEndpoint } from '../endpoint.ts'
import { alignmentFacts, answerOfRollout, preferences, rollout } from './alignment.ts'
import {
  comparedPredictions,
  comparison,
  comparisonShare,
  matrixState,
  runEvaluation,
  runShare,
  startMatrix,
  stopMatrix,
} from './comparison.ts'
import { dataEndpoints } from './data.ts'
import { checkNewRun, newRunForm, planNewRun, startNewRun } from './new-run.ts'
import { askPlayground, loadPlaygroundModel, playgroundState, runModels, unloadPlaygroundModel } from './playground.ts'
import { checkpointNow, deleteRun, resumeRun, runConsole, stop, tagRun } from './run-control.ts'
import { filterFields, filterRuns, runChanges, runCurves, runDetails, runEvents, runList } from './run-pages.ts'
import { runBatch, runFilesOnDisk, runSamples } from './run-parts.ts'
import { sweepList, sweepOf } from './sweeps.ts'

export const studioEndpoints: readonly StudioEndpoint[] = [
  ...[runList, runChanges, runDetails, runCurves, runEvents, runBatch, runSamples, runFilesOnDisk, runShare],
  ...[comparison, comparedPredictions, comparisonShare, runEvaluation, matrixState, startMatrix, stopMatrix],
  ...[sweepList, sweepOf],
  ...[alignmentFacts, rollout, answerOfRollout, preferences],
  ...[playgroundState, runModels, loadPlaygroundModel, unloadPlaygroundModel, askPlayground],
  ...[stop, resumeRun, checkpointNow, deleteRun, tagRun, runConsole, filterRuns, filterFields],
  ...[newRunForm, checkNewRun, planNewRun, startNewRun],
  ...dataEndpoints,
]
