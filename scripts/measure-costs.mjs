// `npm run test:costs`: runs the full suite twice, on a quiet machine. Writes tests/costs.json (CPU seconds of each file, which order the files of
// `npm test` and choose those of `npm run test:changed`) and docs/internals/test-costs.md (the costliest files, and the functions that each alone
// calls).

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fullOnly } from './full-suite.mjs'
import { bundleTested } from './tested-modules.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')
const shown = 60

/** What the files of a run wrote: `{ file, project, cpu, functions }`. */
const measure = (env, files) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-costs-'))
  const { status } = spawnSync(process.execPath, [vitest, 'run', ...files], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, TUNESMITH_TESTS: 'full', TUNESMITH_TEST_BUNDLE: '1', TUNESMITH_TEST_COSTS: folder, ...env },
  })
  const lines = readdirSync(folder).flatMap((name) => readFileSync(join(folder, name), 'utf8').trim().split('\n'))
  rmSync(folder, { recursive: true })
  if (status !== 0) console.log('Some tests failed: their files count with the time until then.')
  return lines.map((line) => JSON.parse(line)).map((one) => ({ ...one, file: relative(root, one.file) }))
}

await bundleTested()
const files = process.argv.slice(2)
/** A file that other tests start again counts with what its own run took. */
const largest = (lines, key) => {
  const found = {}
  for (const one of lines) found[key(one)] = Math.max(found[key(one)] ?? 0, one.cpu)
  return found
}
const measured = measure({}, files)
const costs = largest(
  measured.filter(({ project }) => project === 'cpu'),
  ({ file }) => file,
)
const strict = largest(
  measured.filter(({ project }) => project === 'strict'),
  ({ file }) => file,
)
const rounded = Object.entries(costs).map(([file, cpu]) => [file, Math.round(cpu * 10) / 10])
writeFileSync(join(root, 'tests', 'costs.json'), `${JSON.stringify(Object.fromEntries(rounded.sort()), null, 2)}\n`)

const covering = new Map()
for (const { file, functions } of measure({ TUNESMITH_TEST_COVERAGE: '1' }, files).filter(
  ({ project }) => project === 'cpu',
))
  for (const name of functions) covering.set(name, new Set([...(covering.get(name) ?? []), file]))
const alone = {}
for (const [, found] of covering) if (found.size === 1) alone[[...found][0]] = (alone[[...found][0]] ?? 0) + 1

const sum = (values) => Object.values(values).reduce((total, one) => total + one, 0)
const rows = rounded.sort((a, b) => b[1] - a[1]).slice(0, shown)
const page = `# What the tests cost

Written by \`npm run test:costs\`: CPU seconds of each test file in the full suite, with the programs that it starts, and
the number of functions of src that no other file calls (in its own process; what programs call is not counted).
Coverage is counted in a run of its own, as it makes some code several times slower.

All ${rounded.length} files take ${Math.round(sum(costs))} CPU seconds, and ${Math.round(sum(strict))} more on the strict device. The ${rows.length} that cost most:

| file | CPU seconds | functions that it alone calls | in |
| --- | ---: | ---: | --- |
${rows.map(([file, cpu]) => `| ${file} | ${cpu.toFixed(1)} | ${alone[file] ?? 0} | ${fullOnly[file] ? 'test:full' : 'test'} |`).join('\n')}
`
mkdirSync(join(root, 'docs', 'internals'), { recursive: true })
writeFileSync(join(root, 'docs', 'internals', 'test-costs.md'), page)
console.log(`${rounded.length} files, ${Math.round(sum(costs))} CPU seconds`)
