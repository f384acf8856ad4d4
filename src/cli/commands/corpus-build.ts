// `tunesmith corpus build`: the options of the pipeline as flags, and its result as a table.
import { type BuildResult, buildCorpus, corpusBuildSchema, renderBuild } from '../../corpus/index.ts'
import { defineCommand } from '../command.ts'

export const corpusBuild = defineCommand({
  name: 'corpus build',
  summary: 'Build a clean, deduplicated corpus from raw text, with a report of every dropped document',
  example:
    'tunesmith corpus build --out corpus --source wikipedia:dump.xml.bz2 books:books/ --dedup exact near --decontaminate test.jsonl',
  options: corpusBuildSchema,
  run: (options, _args, context) => buildCorpus(options, context),
  render: renderBuild,
  exitCode: ({ manifest }: BuildResult) => (manifest.documents === 0 ? 1 : 0),
})
