// Reads a recipe: a TypeScript or JavaScript file with a default export, or YAML or JSON with the same keys. Knows nothing
// of what the keys mean; the command that gets the recipe checks them.
import { readFile } from 'node:fs/promises'
import { extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { LineCounter, parseDocument } from 'yaml'
import { ConfigError, show } from '../core/index.ts'

/** The object in the file. Code runs only for `.ts`, `.mts`, `.js` and `.mjs`, which the user wrote or chose to trust. */
export async function readRecipeFile(path: string): Promise<Record<string, unknown>> {
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
  return { ...value }
}

type Reader = (file: string, shown: string) => Promise<unknown>

const readers: Record<string, Reader> = {
  '.json': readYaml,
  '.yaml': readYaml,
  '.yml': readYaml,
  '.js': readModule,
  '.mjs': readModule,
  '.ts': readTypeScript,
  '.mts': readTypeScript,
}

/** JSON is YAML too, so one parser gives both of them line numbers. */
async function readYaml(file: string, shown: string): Promise<unknown> {
  const text = await readText(file, shown)
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

async function readText(file: string, shown: string): Promise<string> {
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
  return exported(await import(pathToFileURL(file).href), shown)
}

async function readTypeScript(file: string, shown: string): Promise<unknown> {
  await readText(file, shown)
  const { tsImport } = await import('tsx/esm/api')
  return exported(await tsImport(pathToFileURL(file).href, import.meta.url), shown)
}

function exported(module: Record<string, unknown>, shown: string): unknown {
  let value = module.default
  // A file that tsx took for CommonJS has its exports one level further down.
  if (typeof value === 'object' && value !== null && '__esModule' in value) {
    value = (value as { default?: unknown }).default
  }
  if (value === undefined) {
    throw new ConfigError(
      `Expected a default export in \`${shown}\`, got none. Write \`export default defineRun({ … })\`.`,
    )
  }
  return value
}
