// The data that the studio may read: what the recipes of its runs name, and the corpora, shards and tokenizers under its folders.
// Everything else on the disk has no id, and so no endpoint.
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { sha256 } from '../../../core/index.ts'
import { dataOfRecipe, type RecordReading, runFiles } from '../../../runs/index.ts'
import { ApiError } from '../../http/errors.ts'
import type { RunLibrary } from '../runs/run-library.ts'
import type { DataKind, DataSource, DataSourceList, DataUse } from '../types/data-types.ts'

/** Depth of folders below a root that are searched, as for runs. */
const maxDepth = 4
/** Folders that are searched in all. */
const maxFolders = 5000
/** Milliseconds after which the folders are searched again. */
const searchInterval = 5000
/** Sources that are listed. */
const maxSources = 2000

/** A source with how it is read. */
export interface CatalogEntry {
  source: DataSource
  /** Undefined for corpora and shards. */
  reading: RecordReading | undefined
}

/** Files by which a folder is known, and what it then is. */
const marks: readonly { file: string; format: string; kind: DataKind }[] = [
  { file: 'corpus.json', format: 'tunesmith-corpus', kind: 'corpus' },
  { file: 'manifest.json', format: 'tunesmith-shards', kind: 'shards' },
]

interface Found {
  folders: { kind: DataKind; path: string }[]
  tokenizers: string[]
  cut: boolean
}

const formatOf = async (path: string): Promise<unknown> => {
  // The format is in the first lines of a manifest, which may be long.
  const text = await readFile(path, 'utf8').catch(() => '')
  return /"format"\s*:\s*"([\w-]+)"/.exec(text.slice(0, 200))?.[1]
}

/** Corpora, shards and tokenizers below some folders. What is inside a run is not searched. */
const searchFolders = async (roots: readonly string[]): Promise<Found> => {
  const found: Found = { folders: [], tokenizers: [], cut: false }
  let searched = 0
  const search = async (folder: string, depth: number): Promise<void> => {
    if (searched++ >= maxFolders) {
      found.cut = true
      return
    }
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
    const files = new Set(entries.filter((entry) => entry.isFile()).map(({ name }) => name))
    if (files.has(runFiles.events)) return
    for (const { file, format, kind } of marks)
      if (files.has(file) && (await formatOf(join(folder, file))) === format) {
        found.folders.push({ kind, path: folder })
        return
      }
    if (files.has('tokenizer.json')) found.tokenizers.push(folder)
    if (depth === maxDepth) return
    for (const entry of entries)
      if (entry.isDirectory() && !entry.name.startsWith('.') && entry.name !== 'node_modules')
        await search(join(folder, entry.name), depth + 1)
  }
  for (const root of roots) await search(resolve(root), 0)
  return found
}

/** Whether a path names one file or folder, instead of a pattern or a list of files. */
const isPlainPath = (path: string): boolean => !/^@|[*?{]|^[a-z][a-z\d+.-]+:\/\//i.test(path)

const idOf = (kind: DataKind, path: string, reading: RecordReading | undefined): string =>
  sha256(JSON.stringify([kind, path, reading ?? null])).slice(0, 16)

/** The last parts of a path that tell it from others. */
const nameOf = (path: string): string => join(basename(dirname(path)), basename(path))

/** The data of a studio. */
export class DataCatalog {
  readonly #runs: RunLibrary
  #entries = new Map<string, CatalogEntry>()
  #found: Found = { folders: [], tokenizers: [], cut: false }
  #searched = Number.NEGATIVE_INFINITY
  #refreshing: Promise<void> | undefined

  constructor(runs: RunLibrary) {
    this.#runs = runs
  }

  /** Every source. */
  async list(): Promise<DataSourceList> {
    await this.#refresh()
    const sources = [...this.#entries.values()].map(({ source }) => source)
    return {
      sources: sources.slice(0, maxSources),
      cut: this.#found.cut || sources.length > maxSources,
      roots: [...this.#runs.roots],
    }
  }

  /** @throws ApiError for an id that no source has */
  async get(id: string): Promise<CatalogEntry> {
    if (!this.#entries.has(id)) await this.#refresh()
    const entry = this.#entries.get(id)
    if (entry !== undefined) return entry
    throw new ApiError(404, 'There is no such data. Its run or its folder may have been deleted.', {
      code: 'data_not_found',
    })
  }

  /** Folders of tokenizers under the roots. */
  get tokenizers(): readonly string[] {
    return this.#found.tokenizers
  }

  #refresh(): Promise<void> {
    this.#refreshing ??= this.#read().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #read(): Promise<void> {
    await this.#runs.refresh({ scan: true })
    if (performance.now() - this.#searched > searchInterval) {
      this.#found = await searchFolders(this.#runs.roots)
      this.#searched = performance.now()
    }
    const entries = new Map<string, CatalogEntry>()
    const add = async (kind: DataKind, path: string, reading: RecordReading | undefined, use?: DataUse) => {
      const id = idOf(kind, path, reading)
      const entry = entries.get(id) ?? { source: await describe(id, kind, path, reading), reading }
      entries.set(id, entry)
      if (use !== undefined) entry.source.uses.push(use)
      return entry.source
    }
    for (const { kind, path } of this.#found.folders) await add(kind, path, undefined)
    for (const [run, recipe] of this.#runs.recipes) {
      const parts = dataOfRecipe(recipe)
      const sources: DataSource[] = []
      for (const { path, role, reading } of parts)
        sources.push(await add(reading?.kind ?? 'shards', path, reading, { run, role }))
      // Validation data follows the training data that it belongs to.
      for (const [i, { role }] of parts.entries())
        if (role === 'validation' && i > 0) sources[i - 1].validation ??= sources[i].id
    }
    this.#entries = entries
  }
}

const describe = async (
  id: string,
  kind: DataKind,
  path: string,
  reading: RecordReading | undefined,
): Promise<DataSource> => {
  const facts = isPlainPath(path) ? await stat(path).catch(() => null) : undefined
  return {
    id,
    kind,
    name: nameOf(path),
    path,
    state: facts === null ? 'missing' : 'present',
    bytes: facts?.isFile() ? facts.size : null,
    task: reading?.kind === 'records' ? reading.task : null,
    uses: [],
    validation: null,
  }
}
