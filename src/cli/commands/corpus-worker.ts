// `tunesmith corpus worker`: one stage from stdin to stdout, for clusters: of single documents, or of a build on Spark.
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import {
  type BuildStageName,
  buildStageNames,
  createWorkerStage,
  type ServeLinesResult,
  serveLines,
  serveRows,
  type WorkerStage,
  workerOptions,
  workerStageNames,
} from '../../corpus/index.ts'
import { defineCommand } from '../command.ts'
import { switchField, textField } from '../parts/fields.ts'

const isBuildStage = (stage: WorkerStage | BuildStageName): stage is BuildStageName =>
  (buildStageNames as readonly string[]).includes(stage)

/** The options that stages of a build take from the build instead. */
const ownDefaults = z.strictObject(workerOptions).parse({})

export const corpusWorker = defineCommand({
  name: 'corpus worker',
  summary: 'Run one per-document stage on JSON lines from stdin, with one JSON line on stdout for each, in order',
  example: 'zcat part.jsonl.gz | tunesmith corpus worker --stage filter --filter language length gopher-quality',
  notes: ['With --build, a stage of a build on Spark: rows of a script transform in, rows out (see docs/clusters.md).'],
  processes: 'each',
  options: z.strictObject({
    stage: z
      .enum([...workerStageNames, ...buildStageNames])
      .describe(`stage to run on each document; ${buildStageNames.join(', ')}: stage of a build on Spark`),
    build: textField('folder that `corpus build --engine spark` copies to the nodes, for the stages of a build'),
    ...workerOptions,
    omitDropped: switchField('no output lines for dropped documents'),
    maxLineBytes: z
      .number()
      .int()
      .positive()
      .default(67_108_864)
      .describe('maximum bytes per line; a longer line gets an error line'),
  }),
  run: async ({ stage, build, omitDropped, maxLineBytes, ...options }, _args, context): Promise<ServeLinesResult> => {
    if (context.json) throw new ConfigError('`--json` has no effect here: stdout is JSON lines already. Leave it out.')
    const io = { input: process.stdin, output: process.stdout, signal: context.signal }
    if (isBuildStage(stage)) {
      if (build === undefined)
        throw new ConfigError(`The stage ${stage} needs the folder of a build on Spark: pass --build FOLDER.`)
      const given = Object.entries(options).find(
        ([name, value]) => !isDeepStrictEqual(value, ownDefaults[name as never]),
      )
      const foreign = omitDropped ? 'omitDropped' : given?.[0]
      if (foreign !== undefined)
        throw new ConfigError(
          `\`${foreign}\` has no effect on the stage ${stage}, which reads the settings of the build.`,
        )
      return { lines: await serveRows({ stage, build, ...io }), kept: 0, dropped: 0, errors: 0 }
    }
    if (build !== undefined) throw new ConfigError(`\`build\` has no effect on the stage ${stage}: leave it out.`)
    return serveLines({
      ...io,
      stage: await createWorkerStage(stage, options),
      maxLineBytes,
      omitDropped,
    })
  },
  // Stdout is for the documents, so the counts go to stderr.
  render: ({ lines, kept, dropped, errors }) => {
    process.stderr.write(`${lines} lines: ${kept} kept, ${dropped} dropped, ${errors} errors\n`)
    return ''
  },
  exitCode: ({ errors }: ServeLinesResult) => (errors > 0 ? 1 : 0),
})
