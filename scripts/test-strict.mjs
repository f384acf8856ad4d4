// `npm run test:strict`: the suites of models, losses, variants, optimizers, generation, training, tasks and serving on the strict device.
// Arguments are suites in their place: `npm run test:strict -- tests/adapters`.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')
const sources = ['adapters', 'alignment', 'features', 'generation', 'models', 'nn', 'objectives', 'optim', 'runs']
const suites = [
  ...[...sources, 'serving', 'tasks', 'training'].map((name) => `src/${name}/`),
  ...['adapters', 'features', 'language-modelling', 'objectives', 'parity', 'serving', 'tasks', 'training'].map(
    (name) => `tests/${name}/`,
  ),
]
const given = process.argv.slice(2)
const { status } = spawnSync(process.execPath, [vitest, 'run', ...(given.length > 0 ? given : suites)], {
  stdio: 'inherit',
  env: { ...process.env, TUNESMITH_TEST_DEVICE: 'strict' },
})
process.exitCode = status ?? 1
