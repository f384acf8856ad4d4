// Every endpoint of the studio.
import type { StudioEndpoint } from '../endpoint.ts'
import { runChanges, runList } from './run-list.ts'
import { runCurves, runDetails, runEvents } from './run-pages.ts'

export const studioEndpoints: readonly StudioEndpoint[] = [runList, runChanges, runDetails, runCurves, runEvents]
