// `recipe.use`: modules of users that are imported before a recipe is checked, and register their own objectives, tasks, models, adapters
// and metrics.
import { ConfigError, importUserModule, resolveUserModule, TunesmithError } from '../core/index.ts'

const listOf = (use: unknown): string[] => {
  if (use === undefined) return []
  const list: unknown[] = Array.isArray(use) ? use : [use]
  if (list.every((one): one is string => typeof one === 'string' && one !== '')) return list
  throw new ConfigError(`Expected names or paths of modules for \`use\`, got ${JSON.stringify(use)}.`)
}

/**
 * Imports the modules of `use`, each once. Returns the paths of their files, which mean the same from any folder.
 * @param from folder that paths are relative to, and that packages are installed in
 * @throws ConfigError for a module that is not there, or that throws
 */
export const useModules = async (use: unknown, from = process.cwd()): Promise<string[]> => {
  const files = listOf(use).map((specifier) => resolveUserModule(specifier, from))
  for (const file of files) {
    try {
      await importUserModule(file)
    } catch (error) {
      if (error instanceof TunesmithError) throw error
      const { name, message } = error as Error
      throw new ConfigError(`${file}: the module of \`use\` threw ${name}: ${message.split('\n')[0]}`)
    }
  }
  return files
}

/** A recipe with its modules imported, and named by their files. */
export const withModules = async <Recipe extends object>(recipe: Recipe, from?: string): Promise<Recipe> => {
  const { use } = recipe as { use?: unknown }
  return use === undefined ? recipe : { ...recipe, use: await useModules(use, from) }
}
