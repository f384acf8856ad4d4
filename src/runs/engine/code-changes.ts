// Whether the user's code of a run is what it was started with.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseJson, writeFileAtomic } from '../../core/index.ts'
import { runFiles } from '../../tracking/index.ts'
import { hashCode, restoreFunctions } from './recipe-functions.ts'
import type { CommonRecipe } from './run-kind.ts'
import type { RunMode } from './run-listener.ts'

/**
 * Keeps the hashes of the user's code in the folder of a new run, and compares those of a resumed one. Reads the functions of its recipe.
 * @returns lines for people
 * @throws ConfigError for a recipe file that throws, or is gone
 */
export const checkCode = async (recipe: CommonRecipe, mode: RunMode): Promise<string[]> => {
  const path = join(recipe.out, runFiles.code)
  const now = await hashCode(recipe)
  const notes = await restoreFunctions(recipe, { again: mode !== 'new' })
  const text = mode === 'new' ? undefined : await readFile(path, 'utf8').catch(() => undefined)
  if (Object.keys(now).length === 0) return notes
  const before =
    text === undefined ? {} : (parseJson(text, { path, advice: () => 'Delete the file.' }) as Record<string, string>)
  await writeFileAtomic(path, `${JSON.stringify({ ...now, ...before }, null, 2)}\n`)
  const changed = Object.keys(now).filter((file) => before[file] !== undefined && before[file] !== now[file])
  return [
    ...notes,
    ...changed.map(
      (file) =>
        `warning: ${file} has changed since the run was started, and its new code is used: steps before and after may not be comparable. Restore the file, or start the run again in a new folder, for one result.`,
    ),
  ]
}
