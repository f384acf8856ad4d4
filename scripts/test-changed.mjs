// `npm run test:changed`: checks of a change within a minute. Types, style, unused code, and the tests that the changed files can reach through
// imports, nearest first, as far as the time goes. What it leaves out is named; `npm test` runs all.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ImportGraph } from './changed/import-graph.mjs'
import { pagesReadBy, reachedWithoutImports } from './changed/other-reach.mjs'
import { costOf } from './costs.mjs'
import { fullOnly } from './full-suite.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bin = (name, file) => join(root, 'node_modules', name, file)

const help = `Usage: npm run test:changed -- [options]

Checks what differs from the last commit: types, style, unused code, and the tests that the changed files can reach,
nearest first, until their time is used up. It ends with a list of what it left out.

Options:
  --base REV     compare with this commit, such as main (default: HEAD)
  --seconds N    time for tests, by what they cost on two quiet cores (default: 30)
  --list         print the tests that would run, and run nothing
  --json         print the choice as JSON on stdout (implies --list)
  --help         print this

Example:
  $ npm run test:changed -- --base main --seconds 120
`

const git = (...args) =>
  execFileSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 28 })
    .split('\n')
    .filter(Boolean)

const readOptions = () => {
  try {
    const { values } = parseArgs({
      options: {
        base: { type: 'string', default: 'HEAD' },
        seconds: { type: 'string', default: '30' },
        list: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (!(Number(values.seconds) > 0))
      throw new Error(`Expected a positive number for \`--seconds\`, got ${values.seconds}.`)
    return { ...values, seconds: Number(values.seconds) }
  } catch (error) {
    process.stderr.write(`error: ${error.message.split('\n')[0]}\n`)
    process.exit(1)
  }
}

const options = readOptions()
if (options.help) {
  process.stdout.write(help)
  process.exit(0)
}

const isModule = (path) => /\.(?:ts|tsx|mjs)$/.test(path)
const isTest = (path) => path.endsWith('.test.ts')

/** Paths from the root that the change adds, alters or deletes. */
const changedFiles = () => {
  try {
    return [...new Set([...git('diff', '--name-only', options.base), ...git('ls-files', '-o', '--exclude-standard')])]
  } catch (error) {
    process.stderr.write(
      `error: Expected a commit for \`--base\`, got ${options.base}: ${String(error.stderr).split('\n')[0]}\n`,
    )
    process.exit(1)
  }
}

/** On two cores, with the start of vitest's processes. */
const secondsOf = (paths) => paths.reduce((sum, path) => sum + costOf(path), 0) / 2

const chooseTests = (changed) => {
  const modules = git('ls-files', '-c', '-o', '--exclude-standard').filter(
    (path) => isModule(path) && existsSync(join(root, path)),
  )
  const graph = new ImportGraph(modules.map((path) => join(root, path)))
  const distances = graph.reach(changed.filter(isModule).map((path) => join(root, path)))
  const reached = new Map()
  for (const [path, distance] of distances) if (isTest(path)) reached.set(relative(root, path), distance)
  for (const [path, distance] of reachedWithoutImports(changed, modules.filter(isTest)))
    reached.set(path, Math.min(distance, reached.get(path) ?? Infinity))
  // Entries of a registry (commands, tasks, adapters) are used by name: tests with the name are the nearest.
  const names = changed
    .filter(isModule)
    .map((path) => basename(path).replace(/\.\w+$/, ''))
    .filter((name) => name !== 'index')
  const nearness = ([path, distance]) => {
    const text = readFileSync(join(root, path), 'utf8')
    const isNamed = names.some((name) => basename(path).includes(name) || text.includes(`'${name}'`))
    return isNamed ? distance / 4 : distance
  }
  const near = new Map([...reached].map((entry) => [entry[0], nearness(entry)]))
  // Of equal nearness, the cheaper ones first: more of them fit.
  const ordered = [...near].sort((a, b) => a[1] - b[1] || costOf(a[0]) - costOf(b[0])).map(([path]) => path)
  const chosen = []
  const leftOut = []
  for (const path of ordered) {
    const isChanged = changed.includes(path)
    if (path in fullOnly && !isChanged) continue
    ;(isChanged || secondsOf([...chosen, path]) <= options.seconds ? chosen : leftOut).push(path)
  }
  return { chosen, leftOut }
}

const running = new Set()
const run = async (name, script, args, env = {}) => {
  const started = performance.now()
  const child = spawn(process.execPath, [script, ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  running.add(child)
  const printed = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => printed.push(bytes))
  const status = await new Promise((done) => child.on('close', (code) => done(code ?? 1)))
  running.delete(child)
  if (status !== 0) process.stdout.write(Buffer.concat(printed))
  console.log(`${name}: ${status === 0 ? 'ok' : 'FAILED'} in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  return status === 0
}
process.on('SIGINT', () => {
  for (const child of running) child.kill('SIGTERM')
  process.exit(130)
})

/** Number of files by folder of tests: `tests/serving 12`. */
const byFolder = (paths) => {
  const counts = new Map()
  for (const path of paths) {
    const folder = path.split('/').slice(0, 2).join('/')
    counts.set(folder, (counts.get(folder) ?? 0) + 1)
  }
  return [...counts].sort((a, b) => b[1] - a[1]).map(([folder, count]) => `${folder} ${count}`)
}

const changed = changedFiles()
if (changed.length === 0) {
  console.log(`Nothing differs from ${options.base}.`)
  process.exit(0)
}
const { chosen, leftOut } = chooseTests(changed)
/** A changed file of the full suite runs as it is there. */
const env = { ...pagesReadBy(changed), ...(chosen.some((path) => path in fullOnly) && { TUNESMITH_TESTS: 'full' }) }
if (options.json) console.log(JSON.stringify({ changed, tests: chosen, leftOut }))
if (options.json || options.list) {
  if (!options.json) for (const path of chosen) console.log(`${path}  ${costOf(path).toFixed(1)} CPU s`)
  process.exit(0)
}
const there = changed.filter((path) => existsSync(join(root, path)))
const types = (project) => ['types', bin('typescript', 'bin/tsc'), ['-p', project, '--noEmit']]
const code = there.filter((path) => /\.(?:ts|tsx|mjs|js|json|css)$/.test(path))
const steps = [
  changed.some((path) => /^(?:src|tests|bench|recipes)\/.*\.ts$|^(?:tsconfig|package)/.test(path)) &&
    types('tsconfig.json'),
  changed.some((path) => /^(?:web|src)\/.*\.tsx?$/.test(path)) && [
    'types of the pages',
    ...types('web/tsconfig.json').slice(1),
  ],
  code.length > 0 && [
    'style',
    bin('@biomejs/biome', 'bin/biome'),
    ['check', '--error-on-warnings', '--no-errors-on-unmatched', '--files-ignore-unknown=true', ...code],
  ],
  changed.some(isModule) && ['unused code', bin('knip', 'bin/knip.js'), []],
  changed.some((path) => path.startsWith('native/')) && ['native style', join(root, 'scripts/format-native.mjs'), []],
].filter(Boolean)
const tests = chosen.length > 0 && [
  `${chosen.length} test files`,
  bin('vitest', 'vitest.mjs'),
  ['run', '--project', 'cpu', '--project', 'shared', ...chosen],
  env,
]
const results = await Promise.all([...steps, tests].filter(Boolean).map((step) => run(...step)))
if (leftOut.length > 0) {
  const minutes = Math.ceil(secondsOf(leftOut) / 60)
  console.log(
    `left out: ${leftOut.length} test files that the change reaches, about ${minutes} min (${byFolder(leftOut).join(', ')})`,
  )
}
const strict = chosen.length + leftOut.length > 0 ? 'tests on the strict device, ' : ''
console.log(`left out: ${strict}tests of other files. Run all: npm test`)
process.exitCode = results.every(Boolean) ? 0 : 1
