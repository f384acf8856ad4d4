// Compiles src/ to dist/, which the installed command and the package's exports use. Runs only when src has changed.
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { bundleModules } from './bundle.mjs'
import { listFiles } from './hashes.mjs'
import { faultLine, runProgram } from './programs.mjs'
import { hasRecipeTypes, isOwnSource, makeRecipeTypes, sourceDigest } from './recipe-types.mjs'
import { SetupFault, say, warn } from './report.mjs'

/**
 * Compiles src, unless dist is up to date, and writes the catalogue of the commands. With `strict`, a type error fails;
 * without it tsc's output is used all the same, and `npm test` is the place to fail.
 */
export const compileTypescript = async (root, { strict = false } = {}) => {
  const source = join(root, 'src')
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  // An installed package has dist/, and neither sources nor compiler.
  if (!existsSync(source) || !existsSync(compiler)) return
  const dist = join(root, 'dist')
  const stamp = join(dist, '.source-digest')
  const digest = sourceDigest(root)
  const compiled = existsSync(stamp) ? readFileSync(stamp, 'utf8') : ''
  const upToDate = compiled === digest || (compiled === `${digest} with errors` && !strict)
  if (upToDate && hasRecipeTypes(root, digest)) return
  say(upToDate ? 'making the types of recipes' : 'compiling src to dist (about half a minute)')
  const typed = await makeRecipeTypes(root, { strict })
  if (upToDate) return
  rmSync(stamp, { force: true })
  const modules = join(root, 'build', 'modules')
  removeOrphans(source, modules, dist)
  const { code, output } = await runProgram(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json')])
  if (code !== 0) {
    const faults = output.split('\n').filter((line) => line.includes('error TS'))
    const message = `${faults.length} type errors in src, the first: ${faults[0] ?? output.trim().split('\n')[0]}`
    if (strict) throw new SetupFault(message)
    warn(message)
  }
  await bundleModules(root, modules, dist)
  copyAssets(root, source, dist)
  const sound = (await writeCatalogue(root, dist, strict)) && typed && code === 0
  writeFileSync(stamp, sound ? digest : `${digest} with errors`)
}

/** dist/cli/catalogue.json.br: help and completion of every command, so that neither has to load one. */
const writeCatalogue = async (root, dist, strict) => {
  const script = join(root, 'scripts', 'write-catalogue.mjs')
  const { code, output } = await runProgram(process.execPath, [script])
  if (code === 0) return true
  rmSync(join(dist, 'cli', 'catalogue.json.br'), { force: true })
  const message = `the catalogue of commands could not be written: ${faultLine(output)}`
  if (strict) throw new SetupFault(message)
  warn(message)
  return false
}

/** Whether dist is as new as src, without type errors. */
export const isCompiled = (root) => {
  const stamp = join(root, 'dist', '.source-digest')
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === sourceDigest(root)
}

/** Removes what was compiled from sources that are gone. */
const removeOrphans = (source, modules, dist) => {
  for (const file of listFiles([modules], (path) => path.endsWith('.js'))) {
    const base = relative(modules, file).replace(/\.js$/, '')
    if (existsSync(join(source, `${base}.ts`))) continue
    for (const path of [file, join(dist, `${base}.d.ts`)]) rmSync(path, { force: true })
    // tsc skips what its record lists as written, so the record goes too.
    rmSync(join(modules, '.tsbuildinfo'), { force: true })
  }
}

/** Data files beside the code: vocabularies, SQL, small tables. */
const copyAssets = (root, source, dist) => {
  for (const file of listFiles([source], (path) => !path.endsWith('.ts') && isOwnSource(root, path))) {
    const target = join(dist, relative(source, file))
    mkdirSync(dirname(target), { recursive: true })
    copyFileSync(file, target)
  }
}
