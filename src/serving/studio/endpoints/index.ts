// Every endpoint of the studio.
import type { StudioEndpoint } from '../endpoint.ts'
import { askPlayground, loadPlaygroundModel, playgroundState, runModels, unloadPlaygroundModel } from './playground.ts'
import { runChanges, runList } from './run-list.ts'
import { runCurves, runDetails, runEvents } from './run-pages.ts'

export const studioEndpoints: readonly StudioEndpoint[] = [
  runList,
  runChanges,
  runDetails,
  runCurves,
  runEvents,
  playgroundState,
  runModels,
  loadPlaygroundModel,
  unloadPlaygroundModel,
  askPlayground,
]
