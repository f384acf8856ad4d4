// `recipe.use`: modules of users that are imported before a recipe is checked, and register their own objectives, tasks, models, adapters
// and metrics.
import { existsSync, realpathSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve, sep } from 'node:path'
import { ConfigError, importUserModule, parseJson, resolveUserModule, sha256, TunesmithError } from '../core/index.ts'
import { runFiles } from '../tracking/index.ts'

const listOf = (use: unknown): string[] => {
  if (use === undefined) return []
  const list: unknown[] = Array.isArray(use) ? use : [use]
  if (list.every((one): one is string => typeof one === 'string' && one !== '')) return list
  throw new ConfigError(`Expected names or paths of modules for \`use\`, got ${JSON.stringify(use)}.`)
}

/** Files that were imported, by the hash of their text and of their package. */
const imported = new Map<string, string>()

/** The package.json of the package that a file belongs to, as text; empty where there is none. */
const packageOf = async (file: string): Promise<string> => {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    const text = await readFile(join(folder, 'package.json'), 'utf8').catch(() => undefined)
    if (text !== undefined || folder === dirname(folder)) return text ?? ''
  }
}

/**
 * Imports the modules of `use`, each once. Returns the paths of their files, which mean the same from any folder.
 * @throws ConfigError for a module that is not there, or that throws
 */
export const useModules = async (use: unknown): Promise<string[]> => {
  const files = listOf(use).map((specifier) => resolveUserModule(specifier, process.cwd()))
  for (const file of files) {
    try {
      const identity = sha256(`${await packageOf(file)}\0${await readFile(file, 'utf8')}`)
      // What another copy of the same package registers is there already, and would be refused as taken.
      if ((imported.get(identity) ?? file) !== file) continue
      await importUserModule(file)
      imported.set(identity, file)
    } catch (error) {
      if (error instanceof TunesmithError) throw error
      const { name, message } = error as Error
      throw new ConfigError(`${file}: the module of \`use\` threw ${name}: ${message.split('\n')[0]}`)
    }
  }
  return files
}

/** A recipe with its modules imported, and named by their files. */
export const withModules = async <Recipe extends object>(recipe: Recipe): Promise<Recipe> => {
  // What is no recipe is refused by the schema.
  const { use } = (recipe ?? {}) as { use?: unknown }
  return use === undefined ? recipe : { ...recipe, use: await useModules(use) }
}

const realPath = (path: string): string => {
  try {
    // The native one gives one spelling also where a file system ignores case.
    return realpathSync.native(path)
  } catch {
    // No import finds what is not there.
    return resolve(path)
  }
}

/** Whether a file is in the folder of a run: code that comes along with a run is not run. */
export const comesWith = (run: string, file: string): boolean =>
  `${realPath(file)}${sep}`.startsWith(`${realPath(run)}${sep}`)

/** The modules of a recipe in a run's folder, which names files by their absolute paths, without those in that folder. */
export const modulesOutside = (run: string, use: unknown): string[] =>
  listOf(use).filter((file) => isAbsolute(file) && !comesWith(run, file))

/**
 * Imports the modules that the run of a model was started with, which registered its task, adapter or architecture. Modules that are no
 * longer there are left out: a model may be used without those that only its training needed.
 * @param model folder of a run, or the model's folder in one
 * @throws ConfigError for a module that throws
 */
export const useModulesOf = async (model: string): Promise<void> => {
  const folder = resolve(model)
  for (const run of [folder, dirname(folder)]) {
    const path = join(run, runFiles.recipe)
    const text = await readFile(path, 'utf8').catch(() => undefined)
    if (text === undefined) continue
    const { use } = parseJson(text, { path }) as { use?: unknown }
    await useModules(modulesOutside(run, use).filter((file) => existsSync(file)))
    return
  }
}
