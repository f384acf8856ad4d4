// The options of `corpus build`: the schema behind flags, recipes and help.

import { z } from 'zod'
import { decontaminationOptions } from '../decontaminate/index.ts'

const defaults = {
  // Length and language apply to every document. The rules for web pages apply to crawls only, since they would remove
  // headings from encyclopedias and drop whole books.
  filter: [
    'length',
    'language:languages=',
    'gopher-repetition@warc+wet',
    'gopher-quality@warc+wet',
    'c4@warc+wet',
    'fineweb@warc+wet',
  ],
  dedup: ['exact', 'near'],
}

/** The schema of the options of `corpus build`, with defaults and descriptions. */
export const corpusBuildSchema = z.strictObject({
  out: z
    .string()
    .min(1)
    .describe(
      'output folder of the corpus, with the engine spark also an address such as s3a://bucket/corpus; the same command resumes a stopped build',
    ),
  source: z
    .array(z.string())
    .min(1)
    .describe(
      'inputs as KIND:PATH or KIND,option=value:PATH; PATH is a file, folder, glob or @list of files, with the engine spark also at an address',
    ),
  filter: z
    .array(z.string())
    .default(defaults.filter)
    .describe(
      'filters in order, as NAME, NAME:option=value,option=value, or NAME@kind+kind for some kinds of source only; `none` disables them',
    ),
  dedup: z
    .array(z.string())
    .default(defaults.dedup)
    .describe('deduplicators in order, as NAME or NAME:option=value; `none` keeps duplicates'),
  decontaminate: z
    .array(z.string())
    .default([])
    .describe('test sets to remove from the corpus, as PATH or option=value,option=value:PATH'),
  decontamination: decontaminationOptions.prefault({}).describe('detection and removal of overlaps with test sets'),
  maskPersonalData: z
    .boolean()
    .default(false)
    .describe('placeholders instead of e-mail addresses, phone numbers and IP addresses, after all other filters'),
  seed: z.number().int().min(0).max(0xffffffff).default(0).describe('random seed of the MinHash functions'),
  engine: z
    .enum(['duckdb', 'spark'])
    .default('duckdb')
    .describe('duckdb: in this process and its worker threads; spark: on a cluster. The documents are the same'),
  master: z.string().min(1).optional().describe('URL of the Spark cluster (default: set in its configuration)'),
  sparkConf: z
    .array(z.string())
    .default([])
    .describe('settings of Spark as NAME=VALUE, such as spark.executor.memory=8g'),
  workers: z
    .number()
    .int()
    .min(0)
    .max(512)
    .optional()
    .describe('worker threads; 0: one per core (default: 0). The result is the same for any number'),
  partMegabytes: z
    .number()
    .positive()
    .max(4096)
    .default(32)
    .describe('maximum text per part file, in MB before compression; a longer document has its own part'),
  groupMegabytes: z
    .number()
    .positive()
    .max(4096)
    .default(4)
    .describe('total size of the small input files that one task reads, in MB'),
  segmentMegabytes: z
    .number()
    .positive()
    .max(4096)
    .default(16)
    .describe('text per segment of a large input file, in MB; workers share the segments'),
  largeFileMegabytes: z
    .number()
    .positive()
    .default(64)
    .describe('size on disk from which an input file is split into segments, in MB'),
  memoryMegabytes: z
    .number()
    .int()
    .min(128)
    .optional()
    .describe('memory limit of deduplication, in MB; larger tables go to disk in the output folder (default: 512)'),
  rebuild: z.boolean().default(false).describe('replacement of a corpus that was built from other inputs or options'),
  keepWork: z
    .boolean()
    .default(false)
    .describe('keep intermediate files, so that a build with changed options reuses them'),
})

/** Options of `buildCorpus`, as flags and recipes give them. */
export type CorpusBuildOptions = z.input<typeof corpusBuildSchema>
export type ResolvedBuildOptions = z.output<typeof corpusBuildSchema>

/** The value that stands for an empty list in options with a default. */
const noneWord = 'none'

/** A list option without its `none`. */
export const listOf = (values: readonly string[]): string[] => values.filter((value) => value !== noneWord)
