// Suites on the strict device, which refuses a tensor that was made without the model's device: those of `npm run test:strict`, what it
// leaves out and why, and what every `npm test` runs there too.

import { isFull } from './full-suite.mjs'

const under = (root, names) => names.map((name) => `${root}/${name}/`)
const files = (root, names) => names.map((name) => `${root}/${name}.test.ts`)

/** Folders whose tests use models and runs. */
export const suites = [
  ...under('src', ['adapters', 'alignment', 'checkpoint', 'export', 'features', 'generation', 'models', 'nn']),
  ...under('src', ['objectives', 'optim', 'runs', 'serving', 'tasks', 'training']),
  ...under('tests', ['adapters', 'alignment', 'checkpoint', 'export', 'features', 'inference', 'language-modelling']),
  ...under('tests', ['objectives', 'parity', 'serving', 'tasks', 'training']),
]

const noModel = 'uses no model'
const gloo = 'processes exchange tensors over Gloo, which is for the CPU'

/** Folders that are left out, with the reason. */
export const leftOut = {
  'src/cli/': noModel,
  'src/core/': noModel,
  'src/corpus/': noModel,
  'src/data/': noModel,
  'src/distributed/': gloo,
  'src/files/': noModel,
  'src/tensor/': 'names its devices; strict-device.test.ts there is about the strict one',
  'src/tokenizers/': noModel,
  'src/tracking/': noModel,
  'tests/bench/': 'runs benchmarks as processes of their own',
  'tests/corpus/': noModel,
  'tests/corpus-filters/': noModel,
  'tests/distributed/': gloo,
  'tests/docs/': noModel,
  'tests/e2e/': 'runs the compiled program as users have it',
  'tests/engine/': 'is about bits, memory and threads of the CPU',
  'tests/setup/': 'is about installation',
  'tests/studio/': 'is about pages in the browser',
  'tests/tokenizers/': noModel,
  'tests/tracking/': noModel,
}

/** What only `npm run test:full` also runs on the strict device: whole runs. */
const runs = [
  ...files('tests/training', ['loop', 'method-runs', 'resume']),
  ...files('tests/alignment', ['align-preferences', 'align-adapters', 'align-rewards']),
]

/**
 * What `npm test` also runs on the strict device: models, heads, objectives, fine-tuning methods, optimizers, generation, training,
 * alignment, features, checkpoints, inference and serving, each by suites that take seconds.
 */
export const everyTime = [
  ...(isFull ? runs : []),
  ...files('src/models', ['recompute', 'heads/score-layer']),
  ...files('tests/parity/models', ['bodies', 'heads', 'experts', 'packed-heads']),
  ...files('tests/objectives', ['losses', 'pairs-and-pieces']),
  ...files('tests/adapters', ['bank', 'composition', 'stack', 'adalora', 'invertible', 'peft']),
  ...files('src/optim', ['average', 'optimizers']),
  ...files('tests/parity/optim', ['optim']),
  ...files('src/generation', ['generate', 'generate-many', 'scheduler']),
  ...files('src/features', ['embed-texts']),
  ...files('tests/alignment', ['reinforcement/criterion']),
  ...files('tests/tasks', ['learning', 'writing']),
  ...files('tests/checkpoint', ['folders-opening']),
  ...files('tests/inference', ['open']),
  ...files('tests/serving', ['text', 'specialists']),
]
