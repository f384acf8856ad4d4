// `npm run test:mutants`: plants faults in src, one at a time, and counts how many of them `npm test` finds among those that
// `npm run test:full` finds. The report is docs/internals/mutation-testing.md, which also says how it works and what it cannot see.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { folders, instrument } from './mutants/instrument.mjs'
import { summarise, writePage } from './mutants/report.mjs'
import { digest, listFiles } from './setup/hashes.mjs'
import { sourceDigest } from './setup/recipe-types.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const work = join(root, 'build', 'mutants')
const page = 'docs/internals/mutation-testing.md'
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')
const defaults = { limit: '200', seed: '1', seconds: '60', workers: String(availableParallelism()) }

const help = `Usage: npm run test:mutants -- [options]

Plants faults (mutants) in these folders of src, one at a time, and compares
which of them npm test and npm run test:full find:
${folders.join(', ')}.
An interrupted run continues where it was. With the default options the result
is written to ${page}.

Options:
  --limit N      number of mutants (default: ${defaults.limit})
  --seed N       random seed of the sample (default: ${defaults.seed})
  --folder NAME  mutants of one folder only, such as optim
  --tests TEXT   test files whose path contains the text (default: all)
  --seconds N    longest duration of the CI test files for a mutant; those of
                 the full suite may take twice as long (default: ${defaults.seconds})
  --workers N    test processes at a time (default: the number of cores)
  --json         print the result as JSON on stdout
  --help         print this

Example:
  npm run test:mutants -- --folder optim --limit 20
`

const fail = (message) => {
  console.error(message)
  process.exit(1)
}

const readOptions = () => {
  const text = { type: 'string' }
  const flag = { type: 'boolean', default: false }
  const options = { folder: text, tests: text, json: flag, help: flag }
  for (const [name, value] of Object.entries(defaults)) options[name] = { ...text, default: value }
  let values
  try {
    values = parseArgs({ options }).values
  } catch (error) {
    fail(`${error.message.split('. ')[0]}. See npm run test:mutants -- --help.`)
  }
  if (values.help) {
    process.stdout.write(help)
    process.exit(0)
  }
  if (values.folder !== undefined && !folders.includes(values.folder))
    fail(`Expected one of ${folders.join(', ')} for --folder, got ${values.folder}.`)
  for (const name of Object.keys(defaults)) {
    const number = Number(values[name])
    if (!Number.isInteger(number) || number < 1)
      fail(`Expected a positive whole number for --${name}, got ${values[name]}.`)
    values[name] = number
  }
  return values
}

const options = readOptions()
// Read by scripts/tested-modules.mjs, here and in vitest.
process.env.TUNESMITH_TEST_BUNDLE = 'mutants'
const { bundleTested } = await import('./tested-modules.mjs')
const { withHelpers } = await import('./shared-files.mjs')

const running = new Set()
let stopped = false
/** Ends a process with all that it started. */
const end = (child) => {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    stopped = true
    for (const child of running) end(child)
  })
const stopIfAsked = () => {
  if (!stopped) return
  process.stderr.write('\nStopped. Continue with: npm run test:mutants\n')
  process.exit(130)
}

/** One line of at most 80 columns, which replaces the last one in a terminal. Elsewhere there is one in half a minute. */
let shownAt = 0
const show = (line, always = false) => {
  const text = line.slice(0, 79)
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}${always ? '\n' : ''}`)
  else if (always || performance.now() - shownAt > 30_000) {
    shownAt = performance.now()
    process.stderr.write(`${text}\n`)
  }
}
const rateOf = (started, done, total) => {
  const each = (performance.now() - started) / 1000 / done
  return `${each.toFixed(1)} s each · ${Math.ceil((each * (total - done)) / 60)} min left`
}

const temporaries = mkdtempSync(join(tmpdir(), 'tsm-'))
process.on('exit', () => rmSync(temporaries, { recursive: true, force: true }))

/** Runs vitest in a process group and a temporary folder of its own, as a mutant may neither end nor clean up. */
const runVitest = async (args, { full, env = {}, limitMs }) => {
  const temporary = mkdtempSync(join(temporaries, 't'))
  const { TUNESMITH_TESTS: _, ...inherited } = process.env
  const child = spawn(process.execPath, [vitest, ...args, '--project', 'cpu', '--project', 'shared', '--no-cache'], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...inherited, ...(full ? { TUNESMITH_TESTS: 'full' } : {}), TMPDIR: temporary, ...env },
  })
  running.add(child)
  // A mutant that allocates without end is the first process that the kernel ends.
  if (existsSync(`/proc/${child.pid}/oom_score_adj`)) writeFileSync(`/proc/${child.pid}/oom_score_adj`, '1000')
  let output = ''
  let busy = false
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes) => {
      output = (output + bytes).slice(-4000)
      busy ||= /\[vitest-pool(?:-runner)?\]: (?:Timeout|Failed to start)/.test(output)
    })
  let timedOut = false
  const timer =
    limitMs &&
    setTimeout(() => {
      timedOut = true
      end(child)
    }, limitMs)
  // Not 'close': what a test has started may keep the streams open.
  const [code] = await once(child, 'exit')
  clearTimeout(timer)
  end(child)
  running.delete(child)
  rmSync(temporary, { recursive: true, force: true, maxRetries: 3 })
  stopIfAsked()
  if (busy && !timedOut)
    fail('\nThe machine is too busy: vitest could not start a process in a minute. Run again later.')
  return { code, timedOut, output }
}

/** Their tests start programs from dist/, or test the repository itself. */
const withoutMutants = /^tests\/(?:bench|distributed|docs|e2e|setup|studio)\/|\/instruction-sets\.test\.ts$/

/** The test files of a suite, by their paths from the root. */
const listSuite = async (full) => {
  const list = join(work, 'list.json')
  rmSync(list, { force: true })
  const { output } = await runVitest(['list', '--filesOnly', `--json=${list}`], { full })
  if (!existsSync(list)) fail(`vitest could not list the tests: ${output}`)
  return JSON.parse(readFileSync(list, 'utf8'))
    .map(({ file }) => relative(root, file))
    .filter((file) => file.includes(options.tests ?? '') && !withoutMutants.test(file))
    .sort()
}

const buildMutants = async () => {
  show('Instrumenting the sources …', true)
  const isSource = (path) => path.endsWith('.ts') && !/\.test\.ts$|\/fixtures\//.test(path)
  const paths = listFiles(
    folders.map((folder) => join(root, 'src', folder)),
    isSource,
  )
  const { texts, mutants, places } = await instrument(
    paths.map((path) => ({ name: relative(root, path), content: readFileSync(path, 'utf8') })),
  )
  const sources = join(work, 'sources')
  rmSync(sources, { recursive: true, force: true })
  for (const [name, text] of texts) {
    mkdirSync(dirname(join(sources, name)), { recursive: true })
    writeFileSync(join(sources, name), text)
  }
  await bundleTested()
  return { mutants, places }
}

const code = digest(sourceDigest(root), readFileSync(join(root, 'scripts/mutants/instrument.mjs')))
const digests = new Map()
/** Of the test file, its helpers and all sources. */
const digestOfTest = (file) => {
  const known = digests.get(file)
  if (known !== undefined) return known
  const value = digest(code, file, ...[...withHelpers(join(root, file))].map((path) => readFileSync(path)))
  digests.set(file, value)
  return value
}

const reachFolder = join(work, 'reach')
const recordPathOf = (file) => join(reachFolder, `${file.replaceAll('/', '+')}.json`)
/** Its tests are all skipped, its process ended early, or it fails without a mutant. */
const leaveOut = (file) =>
  writeFileSync(recordPathOf(file), JSON.stringify({ file, failed: true, seconds: 0, loading: [], testing: [] }))

/** Which places of mutants each test file of the full suite executes. One file of build/mutants/reach for each of them. */
const recordReach = async (files, places) => {
  mkdirSync(reachFolder, { recursive: true })
  // Vitest's process writes the records, this one the digests: an interrupted run leaves no record without its digest.
  const digestsPath = join(work, 'reach.json')
  const known = existsSync(digestsPath) ? JSON.parse(readFileSync(digestsPath, 'utf8')) : {}
  const missing = files.filter((file) => known[file] !== digestOfTest(file) || !existsSync(recordPathOf(file)))
  const fresh = new Map(missing.map((file) => [file, digestOfTest(file)]))
  const save = () => {
    for (const [file, value] of fresh) if (existsSync(recordPathOf(file))) known[file] = value
    writeFileSync(digestsPath, JSON.stringify(known))
  }
  if (missing.length > 0) {
    for (const file of missing) {
      rmSync(recordPathOf(file), { force: true })
      delete known[file]
    }
    save()
    const started = performance.now()
    const timer = setInterval(() => {
      const done = missing.filter((file) => existsSync(recordPathOf(file))).length
      if (done > 0)
        show(`Recording reach: ${done} of ${missing.length} files · ${rateOf(started, done, missing.length)}`)
      save()
    }, 2000)
    const env = { TUNESMITH_MUTANT_REACH: reachFolder, TUNESMITH_MUTANT_PLACES: String(places) }
    const args = ['run', '--isolate', '--maxWorkers', String(options.workers), '--reporter', 'dot', ...missing]
    const { output } = await runVitest(args, { full: true, env })
    clearInterval(timer)
    const lost = missing.filter((file) => !existsSync(recordPathOf(file)))
    if (lost.length === missing.length) fail(`\nNo test file recorded its reach:\n${output}`)
    for (const file of lost) leaveOut(file)
    save()
    show(`Recorded the reach of ${missing.length} test files, ${lost.length} of them without a result.`, true)
  }
  return files.map((file) => JSON.parse(readFileSync(recordPathOf(file), 'utf8')))
}

/** A mutant's name, the same in each run. */
const nameOf = ({ file, line, column, mutator, replacement }) => `${file}:${line}:${column} ${mutator} ${replacement}`
const folderOf = ({ file }) => folders.find((folder) => file.startsWith(`src/${folder}/`))

/** A random sample: each folder by its number of reached mutants, and a twentieth at least. */
const sample = (mutants) => {
  const groups = folders
    .map((folder) => mutants.filter((mutant) => folderOf(mutant) === folder))
    .filter((group) => group.length > 0)
  const least = Math.floor(options.limit / 20)
  const shareOf = (group) => (group.length * options.limit) / mutants.length
  const counts = groups.map((group) => Math.min(group.length, Math.max(least, Math.floor(shareOf(group)))))
  let rest = Math.min(options.limit, mutants.length) - counts.reduce((a, b) => a + b, 0)
  while (rest !== 0) {
    // The one that is furthest from its share.
    const distance = (i) => Math.sign(rest) * (shareOf(groups[i]) - counts[i])
    const free = [...groups.keys()].filter((i) => (rest > 0 ? counts[i] < groups[i].length : counts[i] > least))
    const [chosen] = free.sort((a, b) => distance(b) - distance(a))
    counts[chosen] += Math.sign(rest)
    rest -= Math.sign(rest)
  }
  // Sorted by a hash, a smaller sample is part of a larger one.
  return groups.flatMap((group, i) =>
    group
      .map((mutant) => ({ mutant, rank: digest(String(options.seed), nameOf(mutant)) }))
      .sort((a, b) => (a.rank < b.rank ? -1 : 1))
      .slice(0, counts[i])
      .map(({ mutant }) => mutant),
  )
}

/** How near a test file is to a source: the smaller, the likelier it sees the fault. */
const distanceTo = (source, file) => {
  if (dirname(source) === dirname(file) || basename(source, '.ts') === basename(file, '.test.ts')) return 1
  return file.includes(`/${basename(folderOf({ file: source }))}/`) ? 2 : 6
}

/**
 * The test files that execute the mutant, the cheapest and nearest first. A mutant that modules execute when they load is seen by tests
 * that later execute code inside it, or else near it: those first.
 */
const filesFor = (mutant, reach, mutants) => {
  const here = mutants.filter(({ file }) => file === mutant.file)
  const isInside = ({ line, column }) =>
    (line > mutant.line || (line === mutant.line && column >= mutant.column)) &&
    (line < mutant.end.line || (line === mutant.end.line && column < mutant.end.column))
  const near = here.map(({ place }) => place)
  const inside = here.filter(isInside).map(({ place }) => place)
  const weightOf = ({ testing, loading }) => {
    if (testing.has(mutant.place)) return 1
    if (!loading.has(mutant.place)) return 0
    if (inside.some((place) => testing.has(place))) return 1
    return near.some((place) => testing.has(place)) ? 3 : 10
  }
  return reach
    .filter(({ failed }) => !failed)
    .map((record) => ({ ...record, cost: weightOf(record) * distanceTo(mutant.file, record.file) * record.seconds }))
    .filter(({ cost }) => cost > 0)
    .sort((a, b) => a.cost - b.cost || (a.file < b.file ? -1 : 1))
}

/** As many of the files as take `seconds`; and whether that leaves some out. */
const within = (files, seconds) => {
  let sum = 0
  const chosen = files.filter((file) => {
    if (sum > 0 && sum + file.seconds > seconds) return false
    sum += file.seconds
    return true
  })
  return { chosen, cut: chosen.length < files.length }
}

/** Errors outside of tests are only in the text. */
const reportTo = (path) => ['--reporter', 'dot', '--reporter', 'json', `--outputFile.json=${path}`]

/** The test files that failed, as the report of vitest in JSON says. */
const failedFiles = (report) => {
  if (!existsSync(report)) return []
  const { testResults } = JSON.parse(readFileSync(report, 'utf8'))
  const hasFailed = ({ message, assertionResults }) =>
    message !== '' || assertionResults.some(({ status }) => status === 'failed')
  return testResults
    .filter(hasFailed)
    .map(({ name }) => relative(root, name))
    .sort()
}

/**
 * Runs the files with the mutant. What takes too long counts as killed only if the same files without a mutant take less than half of that:
 * otherwise others use the machine, and there is more time in another attempt.
 */
const runMutant = async (mutant, files, full) => {
  const names = files.map(({ file }) => file)
  const report = join(work, `report-${mutant.id}.json`)
  const args = ['run', '--bail', '1', '--maxWorkers', '1', ...reportTo(report), ...names]
  const run = async (id, limitMs) => {
    rmSync(report, { force: true })
    const result = await runVitest(args, { full, env: { TUNESMITH_MUTANT: String(id) }, limitMs })
    const failed = failedFiles(report)
    rmSync(report, { force: true })
    return { ...result, by: failed[0] ?? (names.length === 1 ? names[0] : undefined), failed }
  }
  let limitMs = 20_000 + 4000 * files.reduce((total, { seconds }) => total + seconds, 0)
  for (let attempt = 0; attempt < 3; attempt++) {
    const { code, timedOut, by, failed } = await run(mutant.id, limitMs)
    if (!timedOut && code === 0) return
    if (!timedOut) return { how: failed.length === 0 ? 'process ended' : 'test failed', by }
    if (!(await run(-1, limitMs / 2)).timedOut) return { how: 'time-out', by }
    limitMs *= 3
  }
  fail('\nThe machine is too busy: tests take much longer than when they were recorded. Run again later.')
}

/** Runs the files with the mutant, a few seconds' worth first. Returns how it was killed, if it was. */
const killWith = async (mutant, files, full) => {
  const groups = [[], [], []]
  let sum = 0
  for (const file of files) {
    sum += file.seconds
    groups[sum <= 5 ? 0 : sum <= 25 ? 1 : 2].push(file)
  }
  for (const group of groups) {
    const killed = group.length === 0 ? undefined : await runMutant(mutant, group, full)
    if (killed !== undefined) return killed
  }
}

const testMutant = async (mutant, { ci, full }) => {
  const inCi = await killWith(mutant, ci.chosen, false)
  if (inCi !== undefined) return { suite: 'ci', ...inCi }
  const inFull = await killWith(mutant, full.chosen, true)
  if (inFull !== undefined) return { suite: 'full', ...inFull }
  return { suite: 'none', cut: ci.cut || full.cut }
}

/** Plans which files test each mutant, and tests those that an earlier run has not. */
const testMutants = async (planned) => {
  const file = join(work, 'results.jsonl')
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
  const known = new Map(lines.filter((line) => line !== '').map((line) => [JSON.parse(line).key, JSON.parse(line)]))
  const queue = planned.filter(({ key }) => !known.has(key))
  const total = queue.length
  const started = performance.now()
  let done = 0
  let killed = 0
  const takeMutants = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const result = { key: next.key, mutant: nameOf(next.mutant), ...(await testMutant(next.mutant, next)) }
      appendFileSync(file, `${JSON.stringify(result)}\n`)
      known.set(next.key, result)
      done += 1
      if (result.suite !== 'none') killed += 1
      show(`Testing mutants: ${done} of ${total} · ${killed} killed · ${rateOf(started, done, total)}`, done === total)
    }
  }
  await Promise.all(Array.from({ length: options.workers }, takeMutants))
  return planned.map(({ key, mutant }) => ({ ...known.get(key), mutant, folder: folderOf(mutant) }))
}

/** Runs the files that killed mutants once more without one: a kill by a file that fails anyway does not count. */
const checkKillers = async (results) => {
  const passedPath = join(work, 'killers.json')
  const passed = new Set(existsSync(passedPath) ? JSON.parse(readFileSync(passedPath, 'utf8')) : [])
  const failing = []
  for (const suite of ['ci', 'full']) {
    const killers = results.filter((result) => result.suite === suite && result.by !== undefined)
    const keyOf = (file) => `${suite} ${digestOfTest(file)}`
    const files = [...new Set(killers.map(({ by }) => by))].filter((file) => !passed.has(keyOf(file)))
    if (files.length === 0) continue
    show(`Running ${files.length} test files without a mutant …`, true)
    const report = join(work, 'killers-report.json')
    rmSync(report, { force: true })
    const args = [
      'run',
      '--maxWorkers',
      String(options.workers),
      '--reporter',
      'json',
      '--outputFile',
      report,
      ...files,
    ]
    const { code, output } = await runVitest(args, { full: suite === 'full' })
    const failed = failedFiles(report)
    if (code !== 0 && failed.length === 0) fail(`vitest failed without a mutant: ${output}`)
    failing.push(...failed)
    for (const file of files) if (!failed.includes(file)) passed.add(keyOf(file))
    writeFileSync(passedPath, JSON.stringify([...passed]))
  }
  if (failing.length === 0) return
  for (const file of failing) leaveOut(file)
  fail(`These files fail without a mutant, so they are left out: ${failing.join(', ')}. Run the command again.`)
}

mkdirSync(work, { recursive: true })
const { mutants, places } = await buildMutants()
const fullFiles = await listSuite(true)
const ciFiles = new Set(await listSuite(false))
const records = await recordReach(fullFiles, places)
const reach = records.map((record) => ({
  ...record,
  loading: new Set(record.loading),
  testing: new Set(record.testing),
}))
const reached = new Set(
  records.filter(({ failed }) => !failed).flatMap(({ loading, testing }) => [...loading, ...testing]),
)
const candidates = mutants.filter(
  (mutant) => reached.has(mutant.place) && (options.folder === undefined || folderOf(mutant) === options.folder),
)
if (candidates.length === 0) fail('No test file executes a mutant. Choose other values for --tests and --folder.')

/** Whether the full suite runs more of the file than CI does. */
const isFuller = (file) =>
  !ciFiles.has(file) ||
  [...withHelpers(join(root, file))].some((path) => readFileSync(path, 'utf8').includes('TUNESMITH_TESTS'))
const fuller = new Set(fullFiles.filter(isFuller))

const planned = sample(candidates).map((mutant) => {
  const files = filesFor(mutant, reach, mutants)
  const ci = within(
    files.filter(({ file }) => ciFiles.has(file)),
    options.seconds,
  )
  const full = within(
    files.filter(({ file }) => fuller.has(file)),
    2 * options.seconds,
  )
  const namesOf = ({ chosen }) => chosen.map(({ file }) => digestOfTest(file)).sort()
  const key = digest(code, nameOf(mutant), JSON.stringify([namesOf(ci), namesOf(full)]))
  return { mutant, ci, full, key }
})
const results = await testMutants(planned)
await checkKillers(results)
const summary = summarise(results, {
  seed: options.seed,
  seconds: options.seconds,
  mutants: mutants.length,
  reached: candidates.length,
  leftOut: records.filter(({ failed }) => failed).map(({ file }) => file),
  files: { full: fullFiles.length, ci: ciFiles.size },
})
const text = writePage(summary)
writeFileSync(join(work, 'report.md'), text)
const whole = options.folder === undefined && options.tests === undefined && options.limit >= Number(defaults.limit)
if (whole) writeFileSync(join(root, page), text)
if (options.json) process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`)
else process.stdout.write(`${summary.score}\nReport: ${whole ? page : 'build/mutants/report.md'}\n`)
