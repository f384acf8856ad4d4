// Module hooks for the modules of users, such as recipes, and the files that they import: TypeScript is compiled in memory, and
// `tunesmith` is the running package: what a module registers in another copy, which its own package may have installed, would have
// no effect.
// Both `module.registerHooks` and `module.register` take them: `next` gives promises to the latter, which are passed on as they are.
// They leave `require` alone, which finds files by rules of its own, such as a name without an ending.
// Plain JavaScript, because `module.register` loads it into a thread of its own.
import { readFileSync, realpathSync, statSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { transformSync } from 'esbuild'

let packageFile = ''

/** `data.packageFile` is the URL of the running package's package.json. */
export const initialize = (data) => {
  packageFile = data.packageFile
}

/** How `load` treats a URL: undefined for what is no file of a user. */
const userFile = (url) => {
  const kind = /^file:.*\.m?([tj]s)(\?read=\d+)?$/.exec(url)
  if (kind === null || url.startsWith(new URL('src/', packageFile).href)) return undefined
  return { loader: kind[1], read: kind[2] }
}

const isRequire = ({ conditions }) => conditions?.includes('require') === true

const isFile = (url) => statSync(url, { throwIfNoEntry: false })?.isFile() === true

/** The URL of the TypeScript file that a path means: `./data` and `./data.js` may mean `./data.ts`, as TypeScript allows. */
const typescriptUrl = (specifier, parent) => {
  if (!/^(file:|\.\.?\/)/.test(specifier) || (specifier.startsWith('.') && !parent?.startsWith('file:')))
    return undefined
  const url = new URL(specifier, parent)
  if (/\.m?ts$/.test(url.pathname)) return isFile(url) ? url : undefined
  if (isFile(url)) return undefined
  return ['.ts', '.mts'].map((end) => new URL(url.href.replace(/(\.m?js)?$/, end))).find(isFile)
}

export const resolve = (specifier, context, next) => {
  if (isRequire(context)) return next(specifier, context)
  if (/^tunesmith(\/|$)/.test(specifier)) return next(specifier, { ...context, parentURL: packageFile })
  const found = typescriptUrl(specifier, context.parentURL)
  if (found === undefined || userFile(found.href) === undefined) return next(specifier, context)
  // Other hooks are left out: that of tsx, which runs the sources of this repository, gives such files other names and formats.
  const url = `${pathToFileURL(realpathSync(found)).href}${found.search}`
  return { url, format: 'module', shortCircuit: true }
}

export const load = (url, context, next) => {
  const file = isRequire(context) ? undefined : userFile(url)
  if (file === undefined) return next(url, context)
  if (file.loader === 'ts') return { format: 'module', source: compile(url, file.loader), shortCircuit: true }
  // Node reports a syntax error of a module without its line.
  if (file.read !== undefined) compile(url, file.loader)
  return next(url, context)
}

const compile = (url, loader) => {
  const path = fileURLToPath(url)
  const options = { loader, target: 'node20', sourcemap: 'inline', sourcefile: path, logLevel: 'silent' }
  try {
    const { code } = transformSync(readFileSync(path, 'utf8'), {
      ...options,
      format: loader === 'ts' ? 'esm' : undefined,
    })
    return code
  } catch (error) {
    const fault = error.errors?.[0]
    if (fault === undefined) throw error
    const { line, column } = fault.location ?? { line: 1, column: 0 }
    throw new SyntaxError(`${path}:${line}:${column + 1}: ${fault.text}`)
  }
}
