// `npm test`: types, style, then every test. All of them run, even if one fails. The last line counts the tests, with types
// and style as one each. Arguments go to vitest: `npm test -- src/core`.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
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
let failed = 0
for (const [name, script, args] of steps) {
  const started = performance.now()
  const ok = run(script, args)
  if (ok) passed += 1
  else failed += 1
  console.log(`${name}: ${ok ? 'ok' : 'FAILED'} in ${((performance.now() - started) / 1000).toFixed(1)} s`)
}
// The reporter adds these to its own counts, so that its line is the last one and complete.
const counts = { TUNESMITH_CHECKS_PASSED: String(passed), TUNESMITH_CHECKS_FAILED: String(failed) }
const testsOk = run(bin('vitest', 'vitest.mjs'), ['run', ...process.argv.slice(2)], counts)
process.exitCode = testsOk && failed === 0 ? 0 : 1
