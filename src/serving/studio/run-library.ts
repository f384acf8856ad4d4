// The runs in the studio's folders. Their state is in their own files; what is here is only what was read of them.
import { readdir } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { ConfigError, exists } from '../../core/index.ts'
import { runFiles } from '../../tracking/index.ts'
import { ApiError } from '../http/errors.ts'
import type { RunChanges, RunRow } from './api-types.ts'
import type { Columns } from './columns.ts'
import { RunEntry } from './run-entry.ts'
import { RunTags } from './run-tags.ts'

/** Depth of folders below a root in which runs are found: a quickstart or a sweep has runs in folders of its own. */
const maxDepth = 4

/** Milliseconds between two looks at the folders, which cost more than a look at a file. */
const scanInterval = 2000

/** Runs whose columns are kept in memory. */
const maxColumns = 8

/** Files that are read at the same time. */
const parallel = 16

/** The runs of some folders. */
export class RunLibrary {
  readonly roots: readonly string[]
  readonly #entries = new Map<string, RunEntry>()
  readonly #tags = new Map<string, RunTags>()
  #withColumns: RunEntry[] = []
  #scanned = Number.NEGATIVE_INFINITY
  #refreshing: Promise<RunChanges> | undefined
  readonly #listeners = new Set<(changes: RunChanges) => void>()

  private constructor(roots: readonly string[]) {
    this.roots = roots
  }

  /** @throws ConfigError for a folder that is missing */
  static async open(roots: readonly string[]): Promise<RunLibrary> {
    for (const root of roots)
      if (!(await exists(root)))
        throw new ConfigError(`Expected a folder of runs for \`${root}\`, got none. Check the path.`)
    return new RunLibrary(roots)
  }

  /** The rows, newest first. */
  get rows(): RunRow[] {
    return [...this.#entries.values()]
      .map(({ row }) => row)
      .sort((a, b) => (b.updated ?? '').localeCompare(a.updated ?? '') || a.id.localeCompare(b.id))
  }

  /** The run of an id. @throws ApiError for an unknown one */
  async get(id: string): Promise<RunEntry> {
    if (!this.#entries.has(id)) await this.refresh({ scan: true })
    const entry = this.#entries.get(id)
    if (entry === undefined || (await entry.refresh()) === 'missing')
      throw new ApiError(404, `There is no run ${id.slice(0, 200)}. It may have been deleted.`, {
        code: 'run_not_found',
      })
    return entry
  }

  /** The columns of a run. Those of runs that were not used for long are freed. */
  async columns(entry: RunEntry): Promise<Columns> {
    const columns = await entry.columns()
    this.#withColumns = [entry, ...this.#withColumns.filter((other) => other !== entry)]
    for (const old of this.#withColumns.splice(maxColumns)) old.dropColumns()
    return columns
  }

  /** Sets the tags of a run, which are stored in a file of its root folder. */
  async setTags(entry: RunEntry, tags: readonly string[]): Promise<void> {
    const root = this.roots.find((each) => isInside(entry.folder, each)) ?? entry.folder
    entry.tags = await this.#tagsOf(root).set(entry.id, tags)
    this.#tell({ runs: [entry.row], removed: [] })
  }

  /** Forgets a run whose folder was deleted. */
  forget(entry: RunEntry): void {
    this.#entries.delete(entry.id)
    this.#tell({ runs: [], removed: [entry.id] })
  }

  /** Tells the listeners that the studio ends now, with the run that it shows. */
  announceEnd(): void {
    this.#tell({ runs: [], removed: [], ended: true })
  }

  /** Calls `listener` with changes until the returned function is called. */
  follow(listener: (changes: RunChanges) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Whether anybody follows the changes. */
  get followed(): boolean {
    return this.#listeners.size > 0
  }

  /** Reads what is new of every run and tells the listeners. Calls at the same time share one reading. */
  refresh({ scan = false }: { scan?: boolean } = {}): Promise<RunChanges> {
    if (scan) this.#scanned = Number.NEGATIVE_INFINITY
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #refresh(): Promise<RunChanges> {
    if (performance.now() - this.#scanned > scanInterval) await this.#scan()
    const changes: RunChanges = { runs: [], removed: [] }
    const waiting = [...this.#entries.values()]
    const work = async () => {
      for (let entry = waiting.pop(); entry !== undefined; entry = waiting.pop()) {
        const changed = await entry.refresh()
        if (changed === 'missing') {
          this.#entries.delete(entry.id)
          changes.removed.push(entry.id)
        } else if (changed) changes.runs.push(entry.row)
      }
    }
    await Promise.all(Array.from({ length: parallel }, work))
    if (changes.runs.length + changes.removed.length > 0) this.#tell(changes)
    return changes
  }

  #tell(changes: RunChanges): void {
    for (const listener of this.#listeners) listener(changes)
  }

  async #scan(): Promise<void> {
    for (const root of this.roots) {
      const tags = await this.#tagsOf(root).read()
      // Two roots may have runs of the same name.
      const prefix = this.roots.length > 1 ? `${basename(resolve(root))}/` : ''
      for (const path of await findRuns(root)) {
        const id = `${prefix}${path === '' ? basename(resolve(root)) : path}`
        const entry = this.#entries.get(id) ?? new RunEntry(id, path === '' ? root : join(root, path))
        this.#entries.set(id, entry)
        entry.tags = tags[id] ?? []
      }
    }
    this.#scanned = performance.now()
  }

  #tagsOf(root: string): RunTags {
    const found = this.#tags.get(root) ?? new RunTags(root)
    this.#tags.set(root, found)
    return found
  }
}

const isInside = (folder: string, root: string): boolean => {
  const outer = resolve(root)
  return resolve(folder) === outer || resolve(folder).startsWith(`${outer}/`)
}

/** Paths of the runs below a folder, with slashes; the empty path is the folder itself. What is inside a run is not searched. */
const findRuns = async (root: string): Promise<string[]> => {
  const found: string[] = []
  const search = async (path: string, depth: number): Promise<void> => {
    // A folder that may not be read, or that was removed meanwhile, has no runs to show.
    const entries = await readdir(join(root, path), { withFileTypes: true }).catch(() => [])
    if (entries.some((entry) => entry.isFile() && entry.name === runFiles.events)) {
      found.push(path)
      return
    }
    if (depth === maxDepth) return
    const folders = entries.filter(({ name }) => !name.startsWith('.') && name !== 'node_modules')
    await Promise.all(
      folders
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => search(path === '' ? name : `${path}/${name}`, depth + 1)),
    )
  }
  await search('', 0)
  return found
}
