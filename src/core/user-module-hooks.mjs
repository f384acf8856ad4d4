// Module hooks for the modules of users, such as recipes, and the files that they import: TypeScript is compiled in memory, and
// `tunesmith` is the running package: what a
// module registers in another copy, which its own package may have installed, would have no effect.
// Plain JavaScript, because Node loads it into a thread of its own.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { transform } from 'esbuild'

let packageFile = ''

/** `data.packageFile` is the URL of the running package's package.json. */
export const initialize = (data) => {
  packageFile = data.packageFile
}

export const resolve = async (specifier, context, next) => {
  if (/^tunesmith(\/|$)/.test(specifier)) return next(specifier, { ...context, parentURL: packageFile })
  try {
    return await next(specifier, context)
  } catch (error) {
    // `./data` and `./data.js` may mean `./data.ts`, as TypeScript allows.
    if (!/^\.\.?\//.test(specifier)) throw error
    const base = specifier.replace(/\.m?js$/, '')
    for (const end of ['.ts', '.mts']) {
      const found = await next(`${base}${end}`, context).catch(() => undefined)
      if (found !== undefined) return found
    }
    throw error
  }
}

export const load = async (url, context, next) => {
  const kind = /^file:.*\.m?([tj]s)(\?read=\d+)?$/.exec(url)
  if (kind === null || url.startsWith(new URL('src/', packageFile).href)) return next(url, context)
  const [, loader, read] = kind
  if (loader === 'ts') return { format: 'module', source: await compile(url, loader), shortCircuit: true }
  // Node reports a syntax error of a module without its line.
  if (read !== undefined) await compile(url, loader)
  return next(url, context)
}

const compile = async (url, loader) => {
  const path = fileURLToPath(url)
  const options = { loader, target: 'node20', sourcemap: 'inline', sourcefile: path, logLevel: 'silent' }
  try {
    const { code } = await transform(await readFile(path, 'utf8'), {
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
