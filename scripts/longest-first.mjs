// The order of test files: those that cost most begin first, so that none of them ends alone. Vitest would start the largest files first in a
// clean clone, where it has no times of earlier runs.
import { relative } from 'node:path'
import { BaseSequencer } from 'vitest/node'
import { costOf } from './costs.mjs'

export class LongestFirst extends BaseSequencer {
  async sort(files) {
    const sorted = await super.sort(files)
    const cost = ({ moduleId }) => costOf(relative(this.ctx.config.root, moduleId))
    return sorted.sort((a, b) => cost(b) - cost(a))
  }
}
