// Imports modules of users, such as recipes and packages that register objectives: TypeScript or JavaScript, from any folder.
import { existsSync, readFileSync } from 'node:fs'
import module, { createRequire } from 'node:module'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { ConfigError } from './errors.ts'
import { packageRoot } from './installation.ts'
import { installCall } from './program-call.ts'

let registration: Promise<void> | undefined
/** Makes each read run a file again, as its text or the environment may have changed. */
let reads = 0

/** What `user-module-hooks.mjs` exports, and the function of Node that takes it; the types of Node 20 do not have it. */
interface UserModuleHooks {
  initialize(data: { packageFile: string }): void
  resolve: unknown
  load: unknown
}
interface NodeWithHooks {
  registerHooks?(hooks: { resolve: unknown; load: unknown }): void
}

/**
 * Registers the hooks in this thread where Node has `registerHooks` (22.15 and newer): `register`, which needs a thread for them, is
 * deprecated there and prints a warning from Node 26 on.
 */
const registerHooks = async (): Promise<void> => {
  const data = { packageFile: pathToFileURL(join(packageRoot(), 'package.json')).href }
  const file = new URL('./user-module-hooks.mjs', import.meta.url)
  const node = module as NodeWithHooks
  if (node.registerHooks === undefined) {
    module.register(file, { data })
    return
  }
  const { initialize, ...hooks } = (await import(file.href)) as UserModuleHooks
  initialize(data)
  node.registerHooks(hooks)
}

/**
 * Imports a file of a user. TypeScript is compiled, and `tunesmith` is the running package.
 * @param options.again run the file again although it was imported before
 */
export const importUserModule = async (
  file: string,
  { again = false }: { again?: boolean } = {},
): Promise<Record<string, unknown>> => {
  registration ??= registerHooks()
  await registration
  // Node's own import uses the hooks also where a test runner replaces the import of its modules.
  const source = 'data:text/javascript,export const load = (url) => import(url)'
  const { load } = (await import(source)) as { load(url: string): Promise<Record<string, unknown>> }
  // Errors of its code name lines of the source.
  const before = process.sourceMapsEnabled
  process.setSourceMapsEnabled(true)
  try {
    return await load(`${pathToFileURL(file).href}${again ? `?read=${++reads}` : ''}`)
  } finally {
    process.setSourceMapsEnabled(before)
  }
}

/** The value of package.json's `exports` for an import; conditions of Node in their order. */
const importTarget = (exports: unknown): string | undefined => {
  if (typeof exports === 'string') return exports
  if (Array.isArray(exports)) return exports.map(importTarget).find((target) => target !== undefined)
  if (typeof exports !== 'object' || exports === null) return undefined
  const conditions = exports as Record<string, unknown>
  if ('.' in conditions) return importTarget(conditions['.'])
  for (const condition of ['node', 'import', 'module', 'default'])
    if (condition in conditions) return importTarget(conditions[condition])
  return undefined
}

/** The entry of a package that only has conditions of `import`, which `require.resolve` does not see. */
const packageEntry = (name: string, from: string): string | undefined => {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    const root = join(folder, 'node_modules', name)
    const file = join(root, 'package.json')
    if (existsSync(file)) {
      const { exports, main = 'index.js' } = JSON.parse(readFileSync(file, 'utf8')) as {
        exports?: unknown
        main?: string
      }
      return join(root, importTarget(exports) ?? main)
    }
    if (folder === dirname(folder)) return undefined
  }
}

/**
 * The file of a module: a path relative to `from`, or the name of a package that is installed there.
 * @throws ConfigError when there is none
 */
export const resolveUserModule = (specifier: string, from: string): string => {
  if (specifier.startsWith('file:')) return fileURLToPath(specifier)
  const isPath = isAbsolute(specifier) || /^\.\.?(\/|$)/.test(specifier)
  const file = isPath ? resolve(from, specifier) : resolvePackage(specifier, from)
  if (file !== undefined && existsSync(file)) return file
  throw new ConfigError(
    isPath
      ? `Expected a module for \`use\`, found no file ${file}. Check the path.`
      : `Expected an installed package or a path that begins with ./ for \`use\`, got ${specifier}. Install it (\`${installCall(specifier)}\`), or correct the path.`,
  )
}

const resolvePackage = (name: string, from: string): string | undefined => {
  try {
    return createRequire(join(resolve(from), 'recipe.js')).resolve(name)
  } catch {
    return packageEntry(name, from)
  }
}
