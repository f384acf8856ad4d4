// The runs in the studio's folders. Their state is in their own files; what is here is only what was read of them. Their tags are in a file
// of the folder that has the runs: they outlive the studio and belong to no run's own results.
import { readdir, readFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { byCodeUnits, ConfigError, exists, writeFileAtomic } from '../../../core/index.ts'
import { runFiles } from '../../../tracking/index.ts'
import { ApiError, badRequest } from '../../http/errors.ts'
import type { RunChanges, RunRow } from '../types/api-types.ts'
import type { Columns } from './columns.ts'
import { RunEntry } from './run-entry.ts'
import { RunProcesses } from './run-processes.ts'

const fileName = '.studio-tags.json'
const maxTags = 32
const maxLength = 64

type TagsByPath = Record<string, string[]>

/** The tags of the runs in one folder. */
class RunTags {
  readonly #path: string
  #writing: Promise<unknown> = Promise.resolve()

  constructor(folder: string) {
    this.#path = join(folder, fileName)
  }

  /** Tags by the path of the run in the folder. A missing or damaged file counts as no tags. */
  async read(): Promise<TagsByPath> {
    try {
      const value = JSON.parse(await readFile(this.#path, 'utf8')) as unknown
      if (typeof value !== 'object' || value === null) return {}
      return Object.fromEntries(
        Object.entries(value).filter(([, tags]) => Array.isArray(tags) && tags.every((tag) => typeof tag === 'string')),
      ) as TagsByPath
    } catch {
      return {}
    }
  }

  /** Stores the tags of a run: without repetitions, sorted. @throws ApiError for too many or too long ones */
  async set(path: string, tags: readonly string[]): Promise<string[]> {
    const clean = [...new Set(tags.map((tag) => tag.trim()).filter(Boolean))].sort()
    if (clean.length > maxTags || clean.some((tag) => tag.length > maxLength))
      throw badRequest(
        `Expected at most ${maxTags} tags of at most ${maxLength} characters for \`tags\`, got more.`,
        'tags',
      )
    const write = async () => {
      const { [path]: _, ...others } = await this.read()
      const all = clean.length === 0 ? others : { ...others, [path]: clean }
      await writeFileAtomic(this.#path, `${JSON.stringify(all, null, 2)}\n`)
    }
    // One after the other, or two pages would lose each other's tags.
    this.#writing = this.#writing.then(write, write)
    await this.#writing
    return clean
  }
}

/** Depth of folders below a root in which runs are found: a quickstart or a sweep has runs in folders of its own. */
const maxDepth = 4

/** Milliseconds between two looks at the folders, which cost more than a look at a file. */
const scanInterval = 2000

/** Runs whose columns are kept in memory. */
const maxColumns = 8

/** Files that are read at the same time. */
const parallel = 4

/** Milliseconds after which rows that have been read are sent, while others are still being read. */
const tellInterval = 60

/** The runs of some folders. */
export class RunLibrary {
  /** Programs that were started here. */
  readonly processes = new RunProcesses()
  readonly #entries = new Map<string, RunEntry>()
  readonly #tags = new Map<string, RunTags>()
  #withColumns: RunEntry[] = []
  #scanned = Number.NEGATIVE_INFINITY
  #refreshing: Promise<void> | undefined
  #nextScan: Promise<void> | undefined
  #searching: Promise<void> = Promise.resolve()
  #nextSearch: Promise<void> | undefined
  readonly #listeners = new Set<(changes: RunChanges) => void>()

  private constructor(readonly roots: readonly string[]) {}

  /** @throws ConfigError for a folder that is missing */
  static async open(roots: readonly string[]): Promise<RunLibrary> {
    for (const root of roots)
      if (!(await exists(root)))
        throw new ConfigError(`Expected a folder of runs for \`${root}\`, got none. Check the path.`)
    const different = new Map(roots.map((root) => [resolve(root), root]))
    return new RunLibrary([...different.values()])
  }

  /** The rows, newest first. */
  get rows(): RunRow[] {
    return [...this.#entries.values()]
      .filter(({ isRead }) => isRead)
      .map(({ row }) => row)
      .sort((a, b) => byCodeUnits(b.updated ?? '', a.updated ?? '') || byCodeUnits(a.id, b.id))
  }

  /** The recipes of the runs by id, as far as they have been read. */
  get recipes(): Map<string, Record<string, unknown>> {
    return new Map(
      [...this.#entries.values()].flatMap(({ id, recipe }) => (recipe === undefined ? [] : [[id, recipe]])),
    )
  }

  /** Number of runs that were found, including those that have not been read yet. */
  get total(): number {
    return this.#entries.size
  }

  /** The run of a folder; undefined for one that is not in the studio's folders. */
  async inFolder(folder: string): Promise<RunEntry | undefined> {
    await this.refresh({ scan: true })
    return [...this.#entries.values()].find((entry) => resolve(entry.folder) === resolve(folder))
  }

  /** The run of an id. @throws ApiError for an unknown one */
  async get(id: string): Promise<RunEntry> {
    // Nothing is read of the other runs, of which there may be thousands.
    if (!this.#entries.has(id)) await this.#search()
    const entry = this.#entries.get(id)
    if (entry === undefined || (await entry.refresh()) === 'missing') throw unknownRun(id)
    return entry
  }

  /**
   * The run of an id with its columns: one pass over events that nobody has read gives both. Columns of runs that were not used for long are
   * freed. @throws ApiError for an unknown run
   */
  async getWithColumns(id: string): Promise<{ entry: RunEntry; columns: Columns }> {
    if (!this.#entries.has(id)) await this.#search()
    const entry = this.#entries.get(id)
    if (entry === undefined) throw unknownRun(id)
    const columns = await entry.columns()
    this.#withColumns = [entry, ...this.#withColumns.filter((other) => other !== entry)]
    for (const old of this.#withColumns.splice(maxColumns)) old.dropColumns()
    if ((await entry.refresh()) === 'missing') throw unknownRun(id)
    return { entry, columns }
  }

  /** Sets the tags of a run, which are stored in a file of its root folder. */
  async setTags(entry: RunEntry, tags: readonly string[]): Promise<void> {
    entry.tags = await this.#storeTags(entry, tags)
    this.tell(entry)
  }

  /** The root that a folder is, or is in; undefined for one outside. */
  rootOf(folder: string): string | undefined {
    return this.roots.find((each) => isInside(folder, each))
  }

  /** Tells the pages the row of a run. */
  tell(entry: RunEntry): void {
    this.#tell({ runs: [entry.row], removed: [] })
  }

  /** Forgets a run whose folder was deleted, with its tags. */
  async forget(entry: RunEntry): Promise<void> {
    this.#entries.delete(entry.id)
    if (entry.tags.length > 0) await this.#storeTags(entry, [])
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

  /**
   * Reads what is new of every run and tells the listeners. Calls at the same time share one reading.
   * @param options.scan whether the folders are searched for runs that are there now
   */
  refresh({ scan = false }: { scan?: boolean } = {}): Promise<void> {
    // A search that has begun may have passed a folder that is new: another one follows it.
    if (scan && this.#refreshing !== undefined) {
      const again = () => {
        this.#nextScan = undefined
        return this.refresh({ scan })
      }
      this.#nextScan ??= this.#refreshing.then(again, again)
      return this.#nextScan
    }
    if (scan) this.#scanned = Number.NEGATIVE_INFINITY
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #refresh(): Promise<void> {
    const isScan = performance.now() - this.#scanned > scanInterval
    if (isScan) await this.#search()
    let runs: RunRow[] = []
    let removed: string[] = []
    let told = performance.now()
    const tell = () => {
      if (runs.length + removed.length > 0) this.#tell({ runs, removed })
      runs = []
      removed = []
      told = performance.now()
    }
    // A run that is over changes only when it is resumed or deleted, which the next scan sees. Those that run come first.
    const isLive = (entry: RunEntry) => !entry.isRead || entry.state === 'running'
    const all = [...this.#entries.values()]
    const waiting = isScan ? [...all.filter((entry) => !isLive(entry)), ...all.filter(isLive)] : all.filter(isLive)
    const work = async () => {
      for (let entry = waiting.pop(); entry !== undefined; entry = waiting.pop()) {
        if ((await entry.refresh()) === 'missing') {
          this.#entries.delete(entry.id)
          removed.push(entry.id)
        } else if (entry.takeNews()) runs.push(entry.row)
        if (performance.now() - told > tellInterval) tell()
      }
    }
    await Promise.all(Array.from({ length: parallel }, work))
    tell()
  }

  #tell(changes: Omit<RunChanges, 'total'>): void {
    for (const listener of this.#listeners) listener({ ...changes, total: this.total })
  }

  /** Searches the folders, one search at a time: two that meet would give one folder two ids. */
  #search(): Promise<void> {
    // A search that has begun may have passed a folder that is new: another one follows it.
    this.#nextSearch ??= this.#searching
      .catch(() => undefined)
      .then(() => {
        this.#nextSearch = undefined
        this.#searching = this.#scan()
        return this.#searching
      })
    return this.#nextSearch
  }

  async #scan(): Promise<void> {
    const names = rootNames(this.roots)
    const known = new Map([...this.#entries].map(([id, { folder }]) => [resolve(folder), id]))
    const seen = new Set<string>()
    for (const [i, root] of this.roots.entries()) {
      const tags = await this.#tagsOf(root).read()
      for (const path of await findRuns(root)) {
        const folder = path === '' ? root : join(root, path)
        // A run that is in two of the folders is one run.
        if (seen.has(resolve(folder))) continue
        seen.add(resolve(folder))
        const id = known.get(resolve(folder)) ?? this.#freeId(runId(names[i], path, this.roots.length), folder)
        const entry = this.#entries.get(id) ?? new RunEntry(id, folder, this.processes)
        this.#entries.set(id, entry)
        entry.tags = tags[tagKey(root, entry.folder)] ?? []
      }
    }
    this.#scanned = performance.now()
  }

  /** An id that no other folder has. */
  #freeId(id: string, folder: string): string {
    return this.#entries.has(id) ? resolve(folder).slice(1) : id
  }

  #storeTags({ folder }: RunEntry, tags: readonly string[]): Promise<string[]> {
    const root = this.rootOf(folder) ?? folder
    return this.#tagsOf(root).set(tagKey(root, folder), tags)
  }

  #tagsOf(root: string): RunTags {
    const found = this.#tags.get(root) ?? new RunTags(root)
    this.#tags.set(root, found)
    return found
  }
}

const unknownRun = (id: string): ApiError =>
  new ApiError(404, `There is no run ${id.slice(0, 200)}. It may have been deleted.`, { code: 'run_not_found' })

/** Names of folders: the last parts of their paths that tell each from the others. */
const rootNames = (roots: readonly string[]): string[] => {
  const paths = roots.map((root) => resolve(root).split('/').filter(Boolean))
  return paths.map((parts) => {
    const endOf = (other: readonly string[], count: number) => other.slice(-count).join('/')
    const isOwn = (count: number) =>
      paths.every((other) => other === parts || endOf(other, count) !== endOf(parts, count))
    const count = parts.findIndex((_, i) => isOwn(i + 1)) + 1
    return endOf(parts, count || parts.length)
  })
}

/** The id of a run at a path in a folder; the empty path is the folder itself. */
const runId = (root: string, path: string, roots: number): string =>
  path === '' ? root : roots > 1 ? `${root}/${path}` : path

/** Name of a run in the file of tags: unlike its id, it does not depend on the other folders that the studio shows. */
const tagKey = (root: string, folder: string): string => relative(root, folder) || '.'

/** Files by which a folder is a run: one that has just been started has no events yet. */
const markers: readonly string[] = [runFiles.events, runFiles.console]

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
    if (entries.some((entry) => entry.isFile() && markers.includes(entry.name))) {
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
