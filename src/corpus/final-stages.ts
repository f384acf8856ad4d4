// The stages of the last pass over a build: names and reasons of deduplication, then checks of whole documents.
// Loads what the checks need and no more, for this runs in every worker of the last pass.

import type { BuildSettings } from './settings.ts'
import type { WriteStages } from './write-task.ts'

export async function createFinalStages({ dedup }: BuildSettings): Promise<WriteStages> {
  return { dedup: dedup.map(({ stage, reasons }) => ({ stage, reasons })), final: [] }
}
