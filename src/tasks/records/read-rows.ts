// Rows of a path: a file, a folder of files, or a glob. Finds the format and the split.
import { existsSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, relative } from 'node:path'
import { z } from 'zod'
import { DataError } from '../../core/index.ts'
import { arrowAdvice, expandFiles, isArrowFile, isOfSplit, splitOfPath } from '../../files/index.ts'
import { classFolders } from './class-folders.ts'
import { csv, tsv } from './delimited-rows.ts'
import { json, jsonLines } from './json-rows.ts'
import { parquet } from './parquet-rows.ts'
import type { DataRow, FaultCounter, RowFormat } from './row.ts'

const formats = { jsonl: jsonLines, json, csv, tsv, parquet, folders: classFolders } as const satisfies Record<
  string,
  RowFormat
>
export type FormatName = keyof typeof formats
const formatNames = Object.keys(formats) as FormatName[]

/** Settings of every task: how its files are read. */
const fileFields = {
  format: z
    .enum(['auto', ...formatNames])
    .default('auto')
    .describe('file format; auto: by the file names; folders: one folder per class, also in a tar or zip archive'),
  split: z
    .string()
    .min(1)
    .optional()
    .describe(
      'split to read from a folder with several: files with this word, such as train, validation or test, in their name or in that of their folder',
    ),
  onFault: z
    .enum(['error', 'skip'])
    .default('error')
    .describe('unusable records: stop with an error, or skip and count them'),
  limit: z.int().positive().optional().describe('maximum number of records'),
}

/** Settings of tasks that read rows with columns. */
export const rowFields = {
  ...fileFields,
  header: z.boolean().default(true).describe('CSV and TSV: the first line has the column names'),
  quotes: z
    .enum(['auto', 'read', 'literal'])
    .default('auto')
    .describe('CSV and TSV: read " as quotes around fields, or as literal text; auto: read in CSV, literal in TSV'),
  folders: z
    .array(z.string())
    .min(1)
    .optional()
    .describe('format folders: names of the folders to read (default: all)'),
  id: z.string().optional().describe('column with the id of a record (default: its number)'),
  group: z
    .string()
    .optional()
    .describe('column whose rows with the same value stay together when data is split, such as an author or a patient'),
  ignoreColumns: z
    .array(z.string())
    .optional()
    .describe('columns to leave out although they look like a pair, a context or a weight'),
}

export interface RowSettings {
  format: 'auto' | FormatName
  split?: string
  header: boolean
  quotes: 'auto' | 'read' | 'literal'
  folders?: readonly string[]
}

export interface RowSource {
  files: string[]
  rows(faults: FaultCounter, signal?: AbortSignal): AsyncIterable<DataRow>
}

/** The rows of a path. @throws DataError for a path without files of the format, or with files of several splits */
export const openRows = async (path: string, settings: RowSettings): Promise<RowSource> => {
  const { format, split, header, quotes, folders } = settings
  const isFolder = existsSync(path) && statSync(path).isDirectory()
  if (format === 'folders')
    return {
      files: [path],
      rows: (faults, signal) => classFolders.rows(path, { faults, header, quotes, folders, split, signal }),
    }
  const extensions =
    format === 'auto' ? formatNames.flatMap((name) => formats[name].extensions) : formats[format].extensions
  if (isFolder && format === 'auto') await expectNoClasses(path, extensions)
  const all = await expandFiles(path, extensions)
  const files = isFolder ? filesOfSplit(all, split, path) : all
  const readers = files.map((file) => ({ file, format: format === 'auto' ? formatOf(file) : formats[format] }))
  return {
    files,
    async *rows(faults, signal) {
      for (const { file, format: reader } of readers)
        yield* reader.rows(file, { faults, header, quotes, folders, signal })
    },
  }
}

/** @throws DataError for a folder with text files only, which has the format `folders` */
const expectNoClasses = async (path: string, extensions: readonly string[]): Promise<void> => {
  const names = await readdir(path, { recursive: true })
  const has = (endings: readonly string[]) =>
    names.some((name) =>
      endings.some((ending) =>
        name
          .toLowerCase()
          .replace(/\.(gz|bz2|zst)$/, '')
          .endsWith(ending),
      ),
    )
  if (!has(extensions) && has(['.txt']))
    throw new DataError(
      'Expected files of records in the folder, got text files only. For one folder per class with a file per text, set `format` folders.',
      path,
    )
}

/** The format of a file by its name, with or without the ending of a compression; undefined for other names. */
export const formatOfName = (file: string): FormatName | undefined => {
  const name = file.toLowerCase().replace(/\.(gz|bz2|zst)$/, '')
  return formatNames.find((key) => formats[key].extensions.some((ending) => name.endsWith(ending)))
}

const formatOf = (file: string): RowFormat => {
  const found = formatOfName(file)
  if (found !== undefined) return formats[found]
  if (isArrowFile(file)) throw new DataError(arrowAdvice, file)
  throw new DataError(
    `Expected a file ending in ${formatNames.flatMap((key) => formats[key].extensions).join(', ')} (plain, .gz, .bz2 or .zst), got another ending. Set \`format\`.`,
    file,
  )
}

/**
 * The files of a split, by their names and those of their folders below `path`: the names above it say nothing of the data.
 * @throws DataError for a split without files, or for several splits where none is named
 */
export const filesOfSplit = (files: readonly string[], split: string | undefined, path: string): string[] => {
  const isFolder = existsSync(path) && statSync(path).isDirectory()
  const nameOf = (file: string) => (isFolder ? relative(path, file) : basename(file))
  const shown = () => files.map(nameOf).slice(0, 8).join(', ')
  if (split === undefined) {
    if (new Set(files.map((file) => splitOfPath(nameOf(file)))).size > 1)
      throw new DataError(
        `Expected files of one split, got ${shown()}. Set \`split\`, or give the path of one file or of its folder.`,
        path,
      )
    return [...files]
  }
  const found = files.filter((file) => isOfSplit(nameOf(file), split))
  if (found.length > 0) return found
  throw new DataError(
    `Expected files with "${split}" in their name, or in that of their folder, for \`split\`, got ${shown()}.`,
    path,
  )
}
