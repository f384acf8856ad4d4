// Tells a run from a later one in the same folder, as when it was deleted and started again.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { runFiles } from '../../tracking/index.ts'

/** The version of the recipe in a run's folder; empty where there is none. */
export const recipeVersion = async (folder: string): Promise<string> => {
  const found = await stat(join(folder, runFiles.recipe)).catch(() => undefined)
  return found === undefined ? '' : `${found.ino} ${found.mtimeMs} ${found.size}`
}
