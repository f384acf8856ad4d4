// temporary
import type { BuildSettings } from './settings.ts'
import type { WriteStages } from './write-task.ts'
export async function createFinalStages(_: BuildSettings): Promise<WriteStages> {
  return { dedup: [], final: [] }
}
