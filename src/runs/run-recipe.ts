// Reads the recipe of a run's folder (run.json), whatever the kind of run.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError, parseConfig, parseJson, show } from '../core/index.ts'
import { runFiles } from '../tracking/index.ts'
import type { RunRecipe } from './engine/run-kind.ts'
import { kindOf } from './kinds.ts'
import { withModules } from './use-modules.ts'

const fieldsOf = (text: string, path: string): { command?: unknown } => {
  const fields = parseJson(text, { path, advice: () => 'The file is damaged.' })
  if (typeof fields === 'object' && fields !== null && !Array.isArray(fields)) return fields
  throw new DataError(`Expected the recipe of a run, got ${show(fields)}. The file is damaged.`, path)
}

/** The recipe of a run's folder. @throws DataError for a folder without a run, or a damaged recipe */
export const readRunRecipe = async (folder: string): Promise<RunRecipe> => {
  const path = join(folder, runFiles.recipe)
  const text = await readFile(path, 'utf8').catch(() => {
    throw new DataError(`${folder}: Expected the folder of a run, with ${runFiles.recipe}, found none. Check the path.`)
  })
  const fields = await withModules(fieldsOf(text, path), folder)
  return { ...parseConfig(kindOf(fields.command).schema, fields, path), out: folder }
}
