import { defineConfig } from 'vitest/config'

// Native tensors live in one process-wide table, so files run in forked processes, one test file each.
export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'tests/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    setupFiles: [
      './scripts/property-seed.mjs',
      './scripts/test-threads.mjs',
      './scripts/test-watchdog.mjs',
      './scripts/test-device.mjs',
    ],
    // Far above what any test takes: it ends what hangs, and says nothing about speed.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 300_000 } },
    reporters: ['default', './scripts/summary-reporter.mjs'],
  },
})
