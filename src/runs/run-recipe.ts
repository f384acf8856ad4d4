// Reads the recipe of a run's folder (run.json), whatever the kind of run.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError, parseConfig, parseJson, show } from '../core/index.ts'
import { runFiles } from '../tracking/index.ts'
import type { RunRecipe } from './engine/run-kind.ts'
import { kindOf } from './kinds.ts'
import { comesWith, modulesOutside, useModules } from './use-modules.ts'

interface Fields {
  command?: unknown
  use?: unknown
  recipeFile?: unknown
}

const fieldsOf = (text: string, path: string): Fields => {
  const fields = parseJson(text, { path, advice: () => 'The file is damaged.' })
  if (typeof fields === 'object' && fields !== null && !Array.isArray(fields)) return fields
  throw new DataError(`Expected the recipe of a run, got ${show(fields)}. The file is damaged.`, path)
}

/**
 * The recipe of a run's folder. Imports the modules of its `use`. Code in the folder itself, which may be somebody else's run, is neither
 * imported nor part of the recipe.
 * @throws DataError for a folder without a run, or a damaged recipe
 */
export const readRunRecipe = async (folder: string): Promise<RunRecipe> => {
  const path = join(folder, runFiles.recipe)
  const text = await readFile(path, 'utf8').catch(() => {
    throw new DataError(`${folder}: Expected the folder of a run, with ${runFiles.recipe}, found none. Check the path.`)
  })
  const fields = fieldsOf(text, path)
  if (fields.use !== undefined) fields.use = await useModules(modulesOutside(folder, fields.use))
  if (typeof fields.recipeFile === 'string' && comesWith(folder, fields.recipeFile)) delete fields.recipeFile
  return { ...parseConfig(kindOf(fields.command).schema, fields, path), out: folder }
}
