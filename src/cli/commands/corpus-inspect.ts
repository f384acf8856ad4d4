// `tunesmith corpus inspect`: the contents and drops of a corpus, from its manifest and report.
import { z } from 'zod'
import { type Inspection, inspectCorpus, renderInspection } from '../../corpus/index.ts'
import { defineCommand } from '../command.ts'
import { switchField } from '../parts/fields.ts'

export const corpusInspect = defineCommand({
  name: 'corpus inspect',
  summary: 'Show the contents of a corpus: counts, lengths, languages, samples, and dropped documents with reasons',
  example: 'tunesmith corpus inspect corpus',
  arguments: [{ name: 'folder', description: 'folder that `corpus build` wrote' }],
  processes: 'first',
  options: z.strictObject({
    samples: z.number().int().min(0).max(1000).default(3).describe('sample documents to show'),
    verify: switchField('comparison of every file with its SHA-256 in the manifest'),
  }),
  run: (options, { folder }, context) => inspectCorpus(folder, { ...options, signal: context.signal }),
  render: (result) => renderInspection(result),
  exitCode: ({ damagedFiles }: Inspection) => (damagedFiles.length > 0 ? 1 : 0),
})
