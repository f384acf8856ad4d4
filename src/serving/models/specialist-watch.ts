// Models that follow files: the adapters in a watched folder, and the newest checkpoints of runs. They are loaded, replaced and removed
// while requests run, as `ServedModels` does it: no request sees a version that is half there.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { resolveModel } from '../../checkpoint/index.ts'
import { findRunModel, specialistKindOf } from '../../runs/index.ts'
import type { ServedModels } from './served-models.ts'

/** What is followed. */
export interface WatchedSpecialists {
  /** Folder whose adapters are served by the names of their folders. */
  folder?: string
  /** References of runs (`run:FOLDER`) by name; the base may be one of them. */
  runs: Readonly<Record<string, string>>
}

/** Milliseconds between two looks. */
const interval = 1000

/** Files of a specialist at a moment. */
interface Sighting {
  path: string
  /** Changes with every file. */
  version: string
}

const versionOf = async (folder: string): Promise<string> => {
  const names = (await readdir(folder)).sort()
  const files = names.map(async (name) => {
    const { ino, size, mtimeMs } = await stat(join(folder, name))
    return [name, ino, size, mtimeMs].join(' ')
  })
  return (await Promise.all(files)).join('\n')
}

/** Follows specialists until `close`. */
export class SpecialistWatch {
  readonly #models: ServedModels
  readonly #watched: WatchedSpecialists
  readonly #note: (line: string) => void
  /** Versions that were loaded, or could not be: neither is tried again. */
  readonly #known = new Map<string, { version: string; served: boolean }>()
  /** Versions of the last look: files that still change are not loaded. */
  #last = new Map<string, string>()
  readonly #closed = new AbortController()

  /** @param note takes a line about a specialist that cannot be loaded */
  constructor(models: ServedModels, watched: WatchedSpecialists, note: (line: string) => void) {
    this.#models = models
    this.#watched = watched
    this.#note = note
  }

  /** Loads what is there, and follows it from then on. @throws Error for a folder that cannot be read */
  async start(): Promise<void> {
    if (this.#watched.folder !== undefined) await readdir(this.#watched.folder)
    // A checkpoint that came while the models were loaded is found in the first look.
    for (const name of Object.keys(this.#watched.runs))
      this.#known.set(name, { version: this.#models.get(name).source, served: true })
    this.#last = new Map([...(await this.#seenInFolder())].map(([name, { version }]) => [name, version]))
    await this.#look()
    void this.#follow()
  }

  close(): void {
    this.#closed.abort()
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closed
    let fault: string | undefined
    while (!signal.aborted) {
      await sleep(interval, undefined, { signal, ref: false }).catch(() => undefined)
      if (signal.aborted) return
      const found = await this.#look().then(
        () => undefined,
        (error: Error) => error.message,
      )
      // A folder that is gone stays so for many looks: it is said once.
      if (found !== undefined && found !== fault) this.#note(found)
      fault = found
    }
  }

  async #look(): Promise<void> {
    const inFolder = await this.#seenInFolder()
    for (const [name, sighting] of inFolder)
      if (this.#last.get(name) === sighting.version) await this.#update(name, sighting)
    this.#last = new Map([...inFolder].map(([name, { version }]) => [name, version]))
    for (const [name, reference] of Object.entries(this.#watched.runs)) {
      // A run without a checkpoint that opens, such as one that begins anew, keeps its last model.
      const found = await findRunModel(reference).catch(() => undefined)
      if (found !== undefined) await this.#update(name, { path: found.path, version: found.path })
    }
    for (const [name, { served }] of this.#known) {
      if (inFolder.has(name) || Object.hasOwn(this.#watched.runs, name)) continue
      this.#known.delete(name)
      if (served) this.#models.remove(name)
    }
  }

  async #update(name: string, { path, version }: Sighting): Promise<void> {
    const known = this.#known.get(name)
    if (known?.version === version || this.#closed.signal.aborted) return
    try {
      if (known?.served !== true && this.#models.names.includes(name))
        throw new Error(`There is a model ${name} already. Rename the folder.`)
      if (name === this.#models.base?.name) await this.#models.replaceBase(path)
      else await this.#models.load(name, path)
      this.#known.set(name, { version, served: true })
    } catch (error) {
      if (this.#closed.signal.aborted) return
      // What was served before stays.
      this.#known.set(name, { version, served: known?.served === true })
      this.#note(`${name} was not loaded: ${(error as Error).message}`)
    }
  }

  async #seenInFolder(): Promise<Map<string, Sighting>> {
    const { folder } = this.#watched
    const seen = new Map<string, Sighting>()
    if (folder === undefined) return seen
    for (const name of await readdir(folder)) {
      if (name.startsWith('.')) continue
      // What is removed or written meanwhile is seen in the next look.
      const path = await resolveModel(join(folder, name)).catch(() => undefined)
      if (path === undefined || (await specialistKindOf(path)) === undefined) continue
      const version = await versionOf(path).catch(() => undefined)
      if (version !== undefined) seen.set(name, { path, version })
    }
    return seen
  }
}
