import { configDefaults, defineConfig } from 'vitest/config'
import { compiledWorkers } from './scripts/compiled-workers.mjs'
import { fullOnly, isFull } from './scripts/full-suite.mjs'
import { LongestFirst } from './scripts/longest-first.mjs'
import { sharedFiles } from './scripts/shared-files.mjs'
import { everyTime } from './scripts/strict-suites.mjs'
import { external, testedModules } from './scripts/tested-modules.mjs'

// Native tensors live in one process-wide table, so files run in forked processes, one test file each but for those that change nothing.
const common = {
  pool: 'forks' as const,
  setupFiles: [
    ...(process.env.TUNESMITH_MUTANT_REACH === undefined ? [] : ['./scripts/mutants/record-reach.mjs']),
    './scripts/property-seed.mjs',
    './scripts/test-threads.mjs',
    './scripts/test-watchdog.mjs',
    './scripts/test-device.mjs',
    './scripts/test-placement.mjs',
    './scripts/test-costs.mjs',
  ],
  // Far above what any test takes: it ends what hangs, and says nothing about speed.
  testTimeout: 300_000,
  server: { deps: { external } },
  hookTimeout: 300_000,
  expect: { poll: { timeout: 300_000 } },
}

const exclude = [...configDefaults.exclude, ...(isFull ? [] : Object.keys(fullOnly))]
const every = { ...common, name: 'cpu', include: ['src/**/*.test.ts', 'tests/**/*.test.ts'], exclude }
const strict = {
  ...common,
  name: 'strict',
  include: everyTime,
  env: { TUNESMITH_TEST_DEVICE: 'strict', TUNESMITH_STRICT_OPERATORS: 'expected' },
}
const together = sharedFiles()
const alone = { ...every, exclude: [...exclude, ...together] }
const shared = { ...common, name: 'shared', isolate: false, include: together, exclude }
const plugins = [testedModules, compiledWorkers]
const chosen = process.env.TUNESMITH_TEST_DEVICE

export default defineConfig({
  test: {
    // More than two cores: some tests wait for programs and timers.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    reporters: ['default', './scripts/summary-reporter.mjs'],
    // Projects share nothing by inheritance: an `include` here would be joined with theirs, and each would run every file. Where a device
    // was chosen for all tests, there is one project.
    projects: (chosen === undefined ? [alone, shared, strict] : [{ ...every, name: chosen }]).map((test) => ({
      plugins,
      test,
    })),
  },
})
