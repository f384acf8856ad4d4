// Test files that `npm test` leaves to `npm run test:full`, each with the reason, and whether this is the full suite. Tests that are smaller in
// `npm test` ask tests/grid.ts.

export const isFull = process.env.TUNESMITH_TESTS === 'full'

/** Paths from the root, with the reason. */
export const fullOnly = {
  'tests/distributed/sharded-optimizers.test.ts':
    'every optimizer in every mode of sharding, in groups of processes; sharded-weights.test.ts has one of each mode',
  'tests/distributed/sharded-alignment.test.ts':
    'alignment in groups of processes; its parts are tested in one process, and groups with pretraining',
}
