// The options of `corpus build`: the schema that flags, recipes and help derive from, and what it resolves to.
// Knows registries only as lists of names and schemas.

import { z } from 'zod'
import { decontaminationOptions } from '../decontaminate/index.ts'

const defaults = {
  // Every document is measured and labelled; the rules made for web pages are for crawls alone, since they would cut
  // headings out of encyclopedias and drop whole books.
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

export const corpusBuildSchema = z.strictObject({
  out: z.string().min(1).describe('Folder for the corpus; the same command goes on where a stopped build ended'),
  source: z
    .array(z.string())
    .min(1)
    .describe('KIND:PATH or KIND,option=value:PATH; a file, folder, glob or @list of files.'),
  filter: z
    .array(z.string())
    .default(defaults.filter)
    .describe(
      'NAME, NAME:option=value,option=value, or NAME@kind+kind for some kinds of source only; in order, `none` for none',
    ),
  dedup: z
    .array(z.string())
    .default(defaults.dedup)
    .describe('Deduplication, NAME or NAME:option=value; `none` to keep duplicates.'),
  decontaminate: z
    .array(z.string())
    .default([])
    .describe('Test sets whose texts must not be in the corpus: PATH or option=value,option=value:PATH'),
  decontamination: decontaminationOptions.prefault({}).describe('How overlaps with test sets are found and removed'),
  maskPersonalData: z
    .boolean()
    .default(false)
    .describe('Replace e-mail addresses, telephone numbers and IP addresses by placeholders, after all other filters'),
  seed: z.number().int().min(0).max(0xffffffff).default(0).describe('Seed of the MinHash functions'),
  workers: z
    .number()
    .int()
    .min(0)
    .max(512)
    .default(0)
    .describe('Worker threads, 0 for one a core. Changes the time, never a byte of the result'),
  partMegabytes: z
    .number()
    .positive()
    .max(4096)
    .default(32)
    .describe('Most text in one part file, in MB before compression (a single longer document has its own part)'),
  groupMegabytes: z
    .number()
    .positive()
    .max(4096)
    .default(4)
    .describe('Small input files are read together up to this size on disk, in MB'),
  segmentMegabytes: z
    .number()
    .positive()
    .max(4096)
    .default(16)
    .describe('Large input files are cut into segments of so much text, in MB, which all workers share'),
  largeFileMegabytes: z
    .number()
    .positive()
    .default(64)
    .describe('An input file of at least this size on disk, in MB, is cut into segments'),
  memoryMegabytes: z
    .number()
    .int()
    .min(128)
    .default(512)
    .describe('Memory of the deduplication, in MB; what does not fit goes to disk under the output folder'),
  rebuild: z.boolean().default(false).describe('Replace a corpus that was built from other inputs or options'),
  keepWork: z
    .boolean()
    .default(false)
    .describe('Keep the intermediate files, so that a changed build reuses what fits'),
})

export type CorpusBuildOptions = z.input<typeof corpusBuildSchema>
export type ResolvedBuildOptions = z.output<typeof corpusBuildSchema>

/** The word that empties a list which has a default. */
export const noneWord = 'none'

/** A list option without its `none`. */
export const listOf = (values: readonly string[]): string[] => values.filter((value) => value !== noneWord)
