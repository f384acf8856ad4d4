// For `npm test`: the modules of src that tests import, joined into few files, which every process of vitest loads without vite. Through vite
// each module takes a message to the main process, and a file whose test imports a thousand of them up to three CPU seconds before its first
// test. `npx vitest` takes the sources as they are.
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { startCompiled } from './compiled-workers.mjs'
import { startedFile } from './setup/bundle.mjs'
import { listFiles } from './setup/hashes.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const sources = join(root, 'src')
/** `npm run test:mutants` has modules of its own, from sources with faults that are switched on one at a time. */
const withMutants = process.env.TUNESMITH_TEST_BUNDLE === 'mutants'
const folder = join(root, 'build', withMutants ? 'mutants/tested' : 'tested')
const used = withMutants || process.env.TUNESMITH_TEST_BUNDLE === '1'

/** Tests, and what they share, import modules; they are none themselves. */
const isTest = (path) => path.endsWith('.test.ts') || path.includes('/fixtures/')
const importedFile = /(?:\bfrom\s*|\bimport\s*\(?\s*)(['"])(\.{1,2}\/[^'"]+\.(?:ts|mjs))\1/g

/** The files of this repository that a file imports. */
export const importsOf = (path) =>
  [...readFileSync(path, 'utf8').matchAll(importedFile)]
    .map(([, , name]) => resolve(dirname(path), name))
    .filter((imported) => existsSync(imported))

/** Every module of src that a file outside it, or a test in it, imports. */
const entries = () => {
  const importers = [
    ...listFiles([sources], isTest),
    ...listFiles(
      ['tests', 'scripts', 'bench', 'recipes'].map((name) => join(root, name)),
      (path) => /\.(ts|mjs)$/.test(path),
    ),
  ]
  return [...new Set(importers.flatMap(importsOf))].filter(
    (path) => path.startsWith(`${sources}/`) && path.endsWith('.ts') && !isTest(path),
  )
}

/** The path of the text that stands for a source. */
const textPath = (path) => {
  if (!withMutants || !path.startsWith(`${sources}/`)) return path
  const instrumented = join(root, 'build/mutants/sources', relative(root, path))
  return existsSync(instrumented) ? instrumented : path
}

/** Files that threads and processes of src start with, by their sources. */
const startedSources = () =>
  listFiles([sources], (path) => path.endsWith('.ts') && !isTest(path))
    .flatMap((path) =>
      [...readFileSync(path, 'utf8').matchAll(startedFile)].map(([, , name]) => `${resolve(dirname(path), name)}.ts`),
    )
    .filter((path) => existsSync(path))

/** Threads and processes begin with the compiled file, but where it lacks the faults. */
const startJoined = (code, path) =>
  withMutants
    ? code.replaceAll(startedFile, (_whole, _quote, name) => {
        const joined = join(folder, `${relative(sources, resolve(dirname(path), name))}.js`)
        return `new URL(${JSON.stringify(pathToFileURL(joined).href)})`
      })
    : startCompiled(code, path)

/** Each module finds what lies beside its source. */
const ownPlace = {
  name: 'own-place',
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.ts$/ }, ({ path }) => ({
      contents: startJoined(readFileSync(textPath(path), 'utf8'), path).replaceAll(
        'import.meta.url',
        JSON.stringify(pathToFileURL(path).href),
      ),
      loader: 'ts',
    })),
}

/** Writes the joined modules. */
export const bundleTested = async () => {
  rmSync(folder, { recursive: true, force: true })
  await build({
    absWorkingDir: root,
    entryPoints: [...entries(), ...(withMutants ? startedSources() : [])],
    outbase: sources,
    outdir: folder,
    chunkNames: 'chunks/[hash]',
    bundle: true,
    splitting: true,
    // Names of classes are in messages.
    keepNames: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
    plugins: [ownPlace],
  })
}

/** A test that replaces modules, of packages too, needs those of vite. */
const replacesModules = (importer) =>
  importer.endsWith('.test.ts') && /\bvi\.(mock|doMock)\(/.test(readFileSync(importer, 'utf8'))

export const testedModules = {
  name: 'tested-modules',
  enforce: 'pre',
  resolveId(name, importer) {
    if (!used || importer === undefined || !name.startsWith('.') || importer.startsWith('\0')) return
    const path = resolve(dirname(importer), name)
    const isSource = (file) => file.startsWith(`${sources}/`) && file.endsWith('.ts') && !isTest(file)
    if (isSource(importer)) return
    if (replacesModules(importer)) {
      // What the other file imports would be joined modules: two copies of each in one process.
      if (isSource(path)) return
      throw new Error(`${importer} replaces modules, so it must not import ${path}: import modules of src alone.`)
    }
    if (!isSource(path)) return
    const joined = join(folder, relative(sources, path).replace(/\.ts$/, '.js'))
    if (existsSync(joined)) return joined
    // A second copy of a module, made by vite, would not be the one that the others see.
    throw new Error(`${importer} imports ${path}, which scripts/tested-modules.mjs did not find.`)
  },
  load: (id) => (textPath(id) === id ? undefined : readFileSync(textPath(id), 'utf8')),
}

/** Modules that vitest loads as Node does. */
export const external = [/\/build\/(?:mutants\/)?tested\//]
