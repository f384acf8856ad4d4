// `tunesmith corpus inspect`: what a corpus holds and what was left out of it, from its manifest and report.

import { z } from 'zod'
import { type Inspection, inspectCorpus, renderInspection } from '../../corpus/index.ts'
import { defineCommand } from '../command.ts'

export const corpusInspect = defineCommand({
  name: 'corpus inspect',
  summary: 'Show what a corpus holds: counts, lengths, languages, samples, and what was dropped and why',
  example: 'tunesmith corpus inspect corpus',
  arguments: [{ name: 'folder', description: 'A folder that `corpus build` wrote' }],
  options: z.strictObject({
    samples: z.number().int().min(0).max(1000).default(3).describe('Documents of the corpus to show'),
    verify: z.boolean().default(false).describe('Compare every file with its SHA-256 in the manifest'),
  }),
  run: (options, { folder }, context) => inspectCorpus(folder, { ...options, signal: context.signal }),
  render: (result) => renderInspection(result),
  exitCode: ({ damagedFiles }: Inspection) => (damagedFiles.length > 0 ? 1 : 0),
})
