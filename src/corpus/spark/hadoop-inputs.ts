// The inputs of sources at addresses, such as hdfs://name/folder: listed by Hadoop's shell, and hashed by Spark where they are.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { byCodeUnits, DataError } from '../../core/index.ts'
import {
  expandFiles,
  filePattern,
  globBase,
  isGlob,
  listEntries,
  matchesExtension,
  schemeOf,
} from '../../files/index.ts'
import type { ResolvedSource } from '../build/inputs.ts'
import { registeredSources } from '../build/resolve-options.ts'
import { type ListedPath, splitAddress } from './hadoop-shell.ts'
import { type OpenSpark, scriptConf } from './open-spark.ts'
import { inputViews, outputMarks, quoteSql } from './script.ts'
import { runSpark } from './submit.ts'

/** Size and SHA-256 of a file at an address. */
interface RemoteFile {
  bytes: number
  sha256: string
}

/** The paths of each source, local ones too, and what is known of those at addresses. */
export interface RemoteInputs {
  /** By the number of the source; sources without addresses have none. */
  paths: ReadonlyMap<number, string[]>
  files: ReadonlyMap<string, RemoteFile>
}

/** A file goes through the memory of an executor, and rows of Spark are below 2 GiB. */
const maxBytes = 2_000_000_000

const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

const isList = (path: string): boolean => path.startsWith('@') && schemeOf(path.slice(1)) === undefined

/** The paths that a source names: itself, or the entries of its list. */
const entriesOf = async ({ path }: ResolvedSource): Promise<string[]> =>
  isList(path) ? listEntries(path.slice(1)) : [path]

/** Whether a part of a path below a folder begins with a dot, such as that of a file that is being written. */
const isHidden = (path: string, folder: string): boolean => /(?:^|\/)\./.test(path.slice(folder.length))

/** The files that an address names, as `expandFiles` finds those of a path. @throws DataError when there are none */
export const filesAt = (
  address: string,
  extensions: readonly string[],
  listed: readonly ListedPath[],
): ListedPath[] => {
  const base = (isGlob(address) ? globBase(address) : address).replace(/\/+$/, '')
  const { prefix, path: folder } = splitAddress(base)
  const below = listed.flatMap((one) => {
    const { path } = splitAddress(one.path)
    return path === folder || path.startsWith(`${folder}/`) ? [{ ...one, path: prefix + path }] : []
  })
  const [itself] = below
  if (!isGlob(address) && below.length === 1 && itself.path === base && !itself.isFolder) return below
  const files = below.filter(({ path, isFolder }) => !isFolder && !isHidden(path, base))
  const pattern = filePattern(address)
  const chosen = files.filter(({ path }) => (isGlob(address) ? pattern.test(path) : matchesExtension(path, extensions)))
  if (chosen.length > 0) return chosen.sort((a, b) => byCodeUnits(a.path, b.path))
  if (isGlob(address)) throw new DataError('The pattern matches no files. Check the path.', address)
  if (below.length === 0)
    throw new DataError('Expected a file, a folder or a glob, got an address where nothing is. Check it.', address)
  throw new DataError(
    `Expected files ending in ${extensions.join(', ')} (plain, .gz, .bz2 or .zst) in the folder, got none. Name the files, or check the kind of source.`,
    address,
  )
}

/** @throws DataError for a file that Spark cannot read */
const expectReadable = ({ path, bytes }: ListedPath): void => {
  if (bytes > maxBytes)
    throw new DataError(
      `Expected at most 2 GB for a file at an address, got ${(bytes / 1e9).toFixed(1)} GB. Split it, or read it from a file system that all nodes share.`,
      path,
    )
  if (/\/_[^/]*$/.test(path) && bytes > 0)
    throw new DataError('Spark reads no files whose names begin with _. Rename it, or leave it out by a glob.', path)
  if (splitAddress(path).path.includes(':'))
    throw new DataError(
      'Hadoop finds no files with a colon in their paths. Rename it, or leave it out by a glob.',
      path,
    )
}

/** Lists and hashes what sources name at addresses. @throws DataError for addresses where nothing is, and files that Spark cannot read */
export const findRemoteInputs = async (
  sources: readonly ResolvedSource[],
  spark: OpenSpark,
  signal?: AbortSignal,
): Promise<RemoteInputs> => {
  const entries = await Promise.all(
    // A source with its own expansion has names on a server.
    sources.map(async (source) => (registeredSources[source.kind]!.expand === undefined ? entriesOf(source) : [])),
  )
  const addresses = entries.flat().filter((path) => schemeOf(path) !== undefined)
  const bases = addresses.map((address) => (isGlob(address) ? globBase(address) : address))
  const listed = await spark.shell.list([...new Set(bases)])
  const paths = new Map<number, string[]>()
  const found: ListedPath[] = []
  for (const [number, own] of entries.entries()) {
    if (own.every((path) => schemeOf(path) === undefined)) continue
    const { extensions } = registeredSources[sources[number]!.kind]!
    const all: string[] = []
    for (const path of own) {
      if (schemeOf(path) === undefined) {
        all.push(...(await expandFiles(path, extensions)))
        continue
      }
      const files = filesAt(path, extensions, listed)
      for (const file of files) expectReadable(file)
      found.push(...files)
      all.push(...files.map((file) => file.path))
    }
    paths.set(number, all)
  }
  return { paths, files: await hashesOf(found, spark, signal) }
}

/** SHA-256 of files, by Spark. */
const hashesOf = async (
  found: readonly ListedPath[],
  { submit, master, conf, folder }: OpenSpark,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, RemoteFile>> => {
  const files = new Map(found.map(({ path, bytes }) => [path, { bytes, sha256: bytes === 0 ? emptySha256 : '' }]))
  const { views, statements } = inputViews([...files].flatMap(([path, { bytes }]) => (bytes > 0 ? [path] : [])))
  if (views.length === 0) return files
  const script = join(folder, 'inputs.sql')
  const selects = views.map(
    ({ name, prefix }) =>
      `SELECT '${outputMarks.input}', length, sha2(content, 256), ${quoteSql(prefix)}, path FROM ${name}`,
  )
  await writeFile(script, [...statements, ...selects].map((sql) => `${sql};\n\n`).join(''))
  await runSpark({
    submit,
    master,
    conf: { ...scriptConf(conf), 'spark.sql.warehouse.dir': `file://${join(folder, 'tables')}` },
    script,
    signal,
    onLine: (line) => {
      const [mark, bytes, sha256, prefix, ...path] = line.split('\t')
      if (mark !== outputMarks.input) return
      const file = files.get(`${prefix}${splitAddress(path.join('\t')).path}`)
      if (file !== undefined) Object.assign(file, { bytes: Number(bytes), sha256 })
    },
  })
  for (const [path, { sha256 }] of files)
    if (sha256 === '') throw new DataError('Spark did not read the file that it listed. Run the build again.', path)
  return files
}
