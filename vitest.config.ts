import { defineConfig } from 'vitest/config'

// Native tensors live in one process-wide table, so files run in forked processes, one test file each.
export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'tests/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    setupFiles: ['./scripts/property-seed.mjs'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', './scripts/summary-reporter.mjs'],
  },
})
