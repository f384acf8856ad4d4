// Joins the compiled modules into few files: Node takes about a millisecond to load each, and most commands need a thousand.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { listFiles } from './hashes.mjs'
import { SetupFault } from './report.mjs'

/** Modules that scripts and the installed command load by their path. */
const loadedByPath = ['cli/main.js', 'cli/catalogue.js', 'cli/commands/index.js']

/** A file that a worker or a process of its own starts with: `new URL('./count-worker.ts', import.meta.url)`. */
export const startedFile = /new URL\((['"])(\.{1,2}\/[^'"]+)\.ts\1, import\.meta\.url\)/g

/**
 * Writes to `dist` every module of `compiled` that is loaded from outside, under its own path, and what they share to
 * dist/chunks. So there is one copy of each module in a process. Files written by an earlier call are removed.
 * Packages stay where they are installed.
 */
export const bundleModules = async (root, compiled, dist) => {
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    absWorkingDir: compiled,
    entryPoints: entries(root, compiled),
    outbase: compiled,
    outdir: dist,
    chunkNames: 'chunks/[hash]',
    entryNames: '[dir]/[name]',
    bundle: true,
    splitting: true,
    // Names of classes are in messages.
    keepNames: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    legalComments: 'none',
    write: false,
    logLevel: 'silent',
    plugins: [
      {
        // A module still finds what lies beside its source, in whichever file it ends.
        name: 'own-place',
        setup: ({ onLoad }) =>
          onLoad({ filter: /\.js$/ }, ({ path }) => ({
            contents: readFileSync(path, 'utf8').replaceAll(
              'import.meta.url',
              () => `new URL(${JSON.stringify(`${place}${slashes(relative(compiled, path))}`)}, import.meta.url).href`,
            ),
          })),
      },
    ],
  }).catch((error) => {
    const [fault] = error.errors ?? []
    if (fault === undefined) throw error
    throw new SetupFault(`the compiled modules could not be joined: ${fault.location?.file ?? ''} ${fault.text}`)
  })
  const written = new Set()
  for (const { path, text } of outputFiles) {
    const up = slashes(relative(dirname(path), dist)) || '.'
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text.replaceAll(place, `${up}/`))
    written.add(path)
  }
  const pages = join(dist, 'web', sep)
  for (const file of listFiles([dist], (path) => path.endsWith('.js') && !path.startsWith(pages)))
    if (!written.has(file)) rmSync(file)
}

/** Stands for the way from an output file to `dist` until it is known in which file a module ends. */
const place = '<dist>/'

const slashes = (path) => path.replaceAll(sep, '/')

const entries = (root, compiled) => {
  const { exports = {} } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const found = new Set(loadedByPath.map((path) => join(compiled, path)))
  for (const { default: path } of Object.values(exports))
    if (path !== undefined) found.add(join(compiled, relative('dist', path)))
  const modules = listFiles([compiled], (path) => path.endsWith('.js'))
  for (const file of modules)
    for (const [, , path] of readFileSync(file, 'utf8').matchAll(startedFile))
      found.add(`${resolve(file, '..', path)}.js`)
  const there = new Set(modules)
  return [...found].filter((path) => there.has(path))
}
