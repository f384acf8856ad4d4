// `npm run test:strict`: the suites of models and runs on the strict device (scripts/strict-suites.mjs), or on the one that
// TUNESMITH_TEST_DEVICE names, such as cuda. Arguments are suites in their place: `npm run test:strict -- tests/adapters`.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { suites } from './strict-suites.mjs'

const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')
const given = process.argv.slice(2)
const { status } = spawnSync(process.execPath, [vitest, 'run', ...(given.length > 0 ? given : suites)], {
  stdio: 'inherit',
  env: { TUNESMITH_TEST_DEVICE: 'strict', ...process.env },
})
process.exitCode = status ?? 1
