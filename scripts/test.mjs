// `npm test`: types, style, then the tests of each commit; `npm run test:full` (with --full) runs every test and every case (CONTRIBUTING.md).
// All of them run, even if one fails. The last line counts the tests, with types and style as one each. Arguments go to vitest:
// `npm test -- src/core`. With TUNESMITH_TEST_ATTEMPTS=2, at most five files that failed
// run a second time, alone, and their second result counts.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleTested } from './tested-modules.mjs'

const args = process.argv.slice(2).filter((arg) => arg !== '--full')
if (args.length < process.argv.length - 2) process.env.TUNESMITH_TESTS = 'full'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bin = (name, file) => join(root, 'node_modules', name, file)

function run(script, args, env = {}) {
  const { status } = spawnSync(process.execPath, [script, ...args], {
    stdio: 'inherit',
    env: { ...process.env, ...env },
  })
  return status === 0
}

const steps = [
  ['types', bin('typescript', 'bin/tsc'), ['-p', 'tsconfig.json', '--noEmit']],
  ['types of the pages', bin('typescript', 'bin/tsc'), ['-p', 'web/tsconfig.json', '--noEmit']],
  ['style', bin('@biomejs/biome', 'bin/biome'), ['check', '--error-on-warnings', '.']],
  ['unused code', bin('knip', 'bin/knip.js'), []],
  ['native style', fileURLToPath(new URL('format-native.mjs', import.meta.url)), []],
]
// All at once, as each of them has one thread for most of its time; what they print stays together.
const check = async ([name, script, args]) => {
  const started = performance.now()
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const printed = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => printed.push(bytes))
  const [status] = await once(child, 'close')
  process.stdout.write(Buffer.concat(printed))
  console.log(`${name}: ${status === 0 ? 'ok' : 'FAILED'} in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  return status === 0 ? [] : [name]
}
const failedChecks = (await Promise.all(steps.map(check))).flat()
const passed = steps.length - failedChecks.length
// Sources that cannot be joined have a fault that the tests themselves report better.
const joined = await bundleTested().then(
  () => '1',
  (error) => {
    console.log(`The modules of src could not be joined, so tests load each by itself: ${error.message.split('\n')[0]}`)
    return '0'
  },
)
// The reporter adds these to its own counts, so that its line is the last one and complete.
const runTests = (args, counts, list) =>
  run(bin('vitest', 'vitest.mjs'), ['run', ...args], {
    TUNESMITH_TEST_BUNDLE: joined,
    TUNESMITH_CHECKS_PASSED: String(counts.passed),
    TUNESMITH_CHECKS_FAILED: String(counts.failed),
    TUNESMITH_FAILED_CHECKS: failedChecks.join(', '),
    TUNESMITH_TEST_FAILURES: list,
  })
const failed = failedChecks.length
const folder = mkdtempSync(join(tmpdir(), 'tunesmith-test-'))
const list = join(folder, 'failures.json')
let testsOk = runTests(args, { passed, failed }, list)
// A build server shares its cores with others: few files that failed run once more, alone. They are named, not hidden.
const attempts = Number(process.env.TUNESMITH_TEST_ATTEMPTS ?? 1)
if (!testsOk && attempts > 1 && existsSync(list)) {
  const { files, ...certain } = JSON.parse(readFileSync(list, 'utf8'))
  if (files.length > 0 && files.length <= 5) {
    console.log(`SECOND ATTEMPT of ${files.length} failed: ${files.join(', ')}`)
    testsOk = runTests([...files, '--no-file-parallelism'], certain, join(folder, 'again.json')) && certain.failed === 0
  }
}
rmSync(folder, { recursive: true, force: true })
process.exitCode = testsOk && failed === 0 ? 0 : 1
