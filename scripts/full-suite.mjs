// Test files that `npm test` leaves to `npm run test:full`, each with the reason, and whether this is the full suite. Tests that are smaller in
// `npm test` ask tests/grid.ts.

export const isFull = process.env.TUNESMITH_TESTS === 'full'

const inGroups = 'starts groups of processes many times; sharded-weights and process-group have one of each kind'

/** Paths from the root, with the reason. */
export const fullOnly = {
  'tests/distributed/bad-input.test.ts': inGroups,
  'tests/distributed/data-parallel.test.ts': inGroups,
  'tests/distributed/divided-commands.test.ts': inGroups,
  'tests/distributed/exit-code.test.ts': inGroups,
  'tests/distributed/four-processes.test.ts': inGroups,
  'tests/distributed/network-loss.test.ts': inGroups,
  'tests/distributed/overlap.test.ts': inGroups,
  'tests/distributed/sharded-alignment.test.ts': inGroups,
  'tests/distributed/sharded-memory.test.ts': inGroups,
  'tests/distributed/sharded-optimizers.test.ts': inGroups,
  'tests/distributed/sharding.test.ts': inGroups,
  'tests/e2e/use-modules.test.ts':
    'installs packages into a project; recipe-code.test.ts loads such modules in one process',
  'tests/engine/memory.test.ts': 'memory of hundreds of steps, in programs of their own',
  'tests/tokenizers/real-text.test.ts':
    'vocabularies learned from large texts; tests/tokenizers has those of small ones',
  'tests/training/float16-runs.test.ts': 'whole runs in float16; float16.test.ts has the scale of each step',
  'tests/training/learning-curve.test.ts': 'runs of several sizes of data; compare.test.ts has runs side by side',
  'tests/training/variant-gradients.test.ts':
    'packed and padded rows of each method in a training step; contract.test.ts has both in a forward pass',
  'tests/training/device-memory.test.ts':
    'runs whose device is full, on the strict device; budgets and plans have tests of their own',
  'tests/training/device-waits.test.ts':
    'counts how often whole runs wait for a device: their time on a GPU, not their results',
  'tests/training/run-prediction.test.ts':
    'predictions of whole runs; plan-run and planned-step compare plans with runs',
}
