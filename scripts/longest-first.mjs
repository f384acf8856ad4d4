// The order of test files: those that take a minute or more begin first, so that none of them ends alone. Vitest would start the largest
// files first in a clean clone, where it has no times of earlier runs.
import { relative } from 'node:path'
import { BaseSequencer } from 'vitest/node'

const longest = [
  'tests/e2e/quickstart',
  'tests/distributed/slurm',
  'tests/distributed/sharded-optimizers',
  'tests/adapters/contract',
  'tests/distributed/sharded-weights',
  'src/tensor/instruction-sets',
  'tests/docs/code',
  'tests/distributed/sharded-alignment',
  'tests/tokenizers/hostile',
  'tests/distributed/process-group',
  'tests/training/large-data',
  'tests/e2e/corpus-resume',
].map((name) => `${name}.test.ts`)

export class LongestFirst extends BaseSequencer {
  async sort(files) {
    const sorted = await super.sort(files)
    const placeOf = ({ moduleId }) => {
      const place = longest.indexOf(relative(this.ctx.config.root, moduleId))
      return place < 0 ? longest.length : place
    }
    return sorted.sort((a, b) => placeOf(a) - placeOf(b))
  }
}
