// `tunesmith corpus worker`: one per-document stage from stdin to stdout, for clusters.

import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import {
  createWorkerStage,
  type ServeLinesResult,
  serveLines,
  workerOptions,
  workerStageNames,
} from '../../corpus/index.ts'
import { defineCommand } from '../command.ts'

export const corpusWorker = defineCommand({
  name: 'corpus worker',
  summary: 'Run one per-document stage on JSON lines from stdin, with one JSON line on stdout for each, in order',
  example: 'zcat part.jsonl.gz | tunesmith corpus worker --stage filter --filter language length gopher-quality',
  options: z.strictObject({
    stage: z.enum(workerStageNames).describe('stage to run on each document'),
    ...workerOptions,
    omitDropped: z.boolean().default(false).describe('no output lines for dropped documents'),
    maxLineBytes: z
      .number()
      .int()
      .positive()
      .default(67_108_864)
      .describe('maximum bytes per line; a longer line gets an error line'),
  }),
  run: async ({ stage, omitDropped, maxLineBytes, ...options }, _args, context) => {
    if (context.json) throw new ConfigError('`--json` has no effect here: stdout is JSON lines already. Leave it out.')
    return serveLines({
      input: process.stdin,
      output: process.stdout,
      stage: await createWorkerStage(stage, options),
      maxLineBytes,
      omitDropped,
      signal: context.signal,
    })
  },
  // Stdout is for the documents, so the counts go to stderr.
  render: ({ lines, kept, dropped, errors }) => {
    process.stderr.write(`${lines} lines: ${kept} kept, ${dropped} dropped, ${errors} errors\n`)
    return ''
  },
  exitCode: ({ errors }: ServeLinesResult) => (errors > 0 ? 1 : 0),
})
