// Reads a recipe: a TypeScript or JavaScript file with a default export, or YAML or JSON with the same keys. The command
// that gets the recipe checks its keys.
import { readFile } from 'node:fs/promises'
import { dirname, extname, resolve } from 'node:path'
import { ConfigError, importUserModule, resolveUserModule, show, TunesmithError } from '../core/index.ts'

/**
 * The object in the file. Only `.ts`, `.mts`, `.js` and `.mjs` run code, which the user wrote or chose to trust.
 *
 * @throws ConfigError with file and line, also for what the recipe itself throws.
 */
export const readRecipeFile = async (path: string): Promise<Record<string, unknown>> => {
  const file = resolve(path)
  const read = readers[extname(file)]
  if (read === undefined) {
    throw new ConfigError(`Expected a .ts, .js, .yaml or .json file for \`--recipe\`, got ${path}. Rename the file.`)
  }
  const value = await read(file, path)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ConfigError(
      `Expected an object in the recipe \`${path}\`, got ${show(value)}. See recipes/ for examples.`,
    )
  }
  const { use, ...own } = value as Record<string, unknown>
  // Loaded only here: a program that only shows its help starts without the engine.
  const { hasRecipeFunctions } = await import('../runs/index.ts')
  const fields = hasRecipeFunctions(own) ? { ...own, recipeFile: file } : own
  // Modules are found from the recipe's folder, wherever the program was started.
  return use === undefined ? fields : { ...fields, use: located(use, dirname(file)) }
}

/** The modules of a recipe by their files. What is no text is left to the schema. */
const located = (use: unknown, folder: string): unknown[] =>
  [use].flat().map((one) => (typeof one === 'string' ? resolveUserModule(one, folder) : one))

type Reader = (file: string, shown: string) => Promise<unknown>

const readers: Record<string, Reader> = {
  '.json': readYaml,
  '.yaml': readYaml,
  '.yml': readYaml,
  '.js': readModule,
  '.mjs': readModule,
  '.ts': readModule,
  '.mts': readModule,
}

/** JSON is YAML too, so one parser gives line numbers for both. */
async function readYaml(file: string, shown: string): Promise<unknown> {
  const text = await readText(file, shown)
  // Loaded only here, as help and most commands read no recipe.
  const { LineCounter, parseDocument } = await import('yaml')
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true })
  const fault = document.errors[0]
  if (fault !== undefined) {
    const { line, col } = lines.linePos(fault.pos[0])
    throw new ConfigError(`${shown}:${line}:${col}: ${fault.message.split('\n')[0]}`)
  }
  try {
    return document.toJS({ maxAliasCount: 100 })
  } catch (error) {
    throw new ConfigError(
      `Expected a plain recipe in \`${shown}\`, got one that cannot be read: ${(error as Error).message}.`,
    )
  }
}

const readText = async (file: string, shown: string): Promise<string> => {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new ConfigError(
      `Expected a readable file for \`--recipe\`, got ${shown} (${(error as NodeJS.ErrnoException).code}).`,
    )
  }
}

async function readModule(file: string, shown: string): Promise<unknown> {
  await readText(file, shown)
  process.setSourceMapsEnabled(true)
  try {
    return exported(await settled(importUserModule(file, { again: true }), shown), shown)
  } catch (error) {
    throw error instanceof ConfigError && error.message.includes(shown) ? error : recipeError(error, file, shown)
  } finally {
    process.setSourceMapsEnabled(false)
  }
}

/** Rejects when nothing is left that could settle the promise; Node would end the process without a word. */
const settled = async <T>(work: Promise<T>, shown: string): Promise<T> => {
  let stuck = () => {}
  const never = new Promise<never>((_, reject) => {
    stuck = () =>
      reject(
        new ConfigError(
          `Expected \`${shown}\` to finish loading, got an \`await\` that never settles. ` +
            'Check the promises that the recipe waits for.',
        ),
      )
  })
  process.once('beforeExit', stuck)
  try {
    return await Promise.race([work, never])
  } finally {
    process.off('beforeExit', stuck)
  }
}

/** What a recipe threw, with the place: from the stack, or from the message of the compiler. */
const recipeError = (error: unknown, file: string, shown: string): ConfigError => {
  if (!(error instanceof Error)) return new ConfigError(`${shown}: the recipe threw ${show(error)}.`)
  const place = (path: string) => (path === file ? shown : path)
  const compiler = /^(.+\.m?[tj]s):(\d+):(\d+): (.*)$/s.exec(error.message)
  if (compiler !== null) {
    const [, path, line, column, text] = compiler
    return new ConfigError(`${place(path)}:${line}:${column}: SyntaxError: ${text.split('\n')[0]}`)
  }
  const stack = error.stack ?? ''
  // A frame of the recipe, else of a file that it imports.
  const frames = [...stack.matchAll(/(?:^|[\s(])(?:file:\/\/)?(\/[^\s():?]+)(?:\?read=\d+)?:(\d+)(?::(\d+))?/gm)].map(
    ([, path, line, column]) => ({ path: decodeURI(path), line, column }),
  )
  const frame =
    frames.find(({ path }) => path === file) ??
    frames.find(({ path }) => !/\/node_modules\/|\/user-module-hooks\.mjs$/.test(path))
  const position = frame === undefined ? shown : [place(frame.path), frame.line, frame.column].filter(Boolean).join(':')
  const message = error instanceof TunesmithError ? error.message : `${error.name}: ${error.message.split('\n')[0]}`
  return new ConfigError(`${position}: ${message}`)
}

const exported = (module: Record<string, unknown>, shown: string): unknown => {
  if (module.default === undefined) {
    throw new ConfigError(
      `Expected a default export in \`${shown}\`, got none. Write \`export default defineRun({ … })\`.`,
    )
  }
  return module.default
}
