// `npm test`: types, style, then every test. All of them run, even if one fails. The last line counts the tests, with types
// and style as one each. Arguments go to vitest: `npm test -- src/core`. With TUNESMITH_TEST_ATTEMPTS=2, at most five files that failed
// run a second time, alone, and their second result counts.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const bin = (name, file) => join(dirname(require.resolve(`${name}/package.json`)), file)

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
  ['native style', fileURLToPath(new URL('format-native.mjs', import.meta.url)), []],
]
let passed = 0
const failedChecks = []
for (const [name, script, args] of steps) {
  const started = performance.now()
  const ok = run(script, args)
  if (ok) passed += 1
  else failedChecks.push(name)
  console.log(`${name}: ${ok ? 'ok' : 'FAILED'} in ${((performance.now() - started) / 1000).toFixed(1)} s`)
}
// The reporter adds these to its own counts, so that its line is the last one and complete.
const runTests = (args, counts, list) =>
  run(bin('vitest', 'vitest.mjs'), ['run', ...args], {
    TUNESMITH_CHECKS_PASSED: String(counts.passed),
    TUNESMITH_CHECKS_FAILED: String(counts.failed),
    TUNESMITH_FAILED_CHECKS: failedChecks.join(', '),
    TUNESMITH_TEST_FAILURES: list,
  })
const failed = failedChecks.length
const folder = mkdtempSync(join(tmpdir(), 'tunesmith-test-'))
const list = join(folder, 'failures.json')
let testsOk = runTests(process.argv.slice(2), { passed, failed }, list)
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
