// `tunesmith corpus worker`: one per-document stage between stdin and stdout, for a cluster to run.

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
  summary: 'Run one per-document stage: JSON lines in on stdin, one JSON line out for each on stdout, in order',
  example: 'zcat part.jsonl.gz | tunesmith corpus worker --stage filter --filter language length gopher-quality',
  options: z.strictObject({
    stage: z.enum(workerStageNames).describe('What is done to each document'),
    ...workerOptions,
    omitDropped: z.boolean().default(false).describe('Leave dropped documents out instead of naming them'),
    maxLineBytes: z.number().int().positive().default(67_108_864).describe('A longer line is answered by an error'),
  }),
  run: async ({ stage, omitDropped, maxLineBytes, ...options }, _args, context) => {
    if (context.json) throw new ConfigError('Expected no `--json`: stdout is JSON lines already. Leave it out.')
    return serveLines({
      input: process.stdin,
      output: process.stdout,
      stage: await createWorkerStage(stage, options),
      maxLineBytes,
      omitDropped,
      signal: context.signal,
    })
  },
  // stdout belongs to the documents; the counts go where people look.
  render: ({ lines, kept, dropped, errors }) => {
    process.stderr.write(`${lines} lines: ${kept} kept, ${dropped} dropped, ${errors} errors\n`)
    return ''
  },
  exitCode: ({ errors }: ServeLinesResult) => (errors > 0 ? 1 : 0),
})
