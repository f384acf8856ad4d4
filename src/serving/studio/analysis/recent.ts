// Results that are kept while the files that they were made from stay as they are, by what the file system says of them.
import { stat } from 'node:fs/promises'

/** Text that changes when the file is written or replaced; undefined for a missing one. */
export const fileVersion = async (path: string): Promise<string | undefined> => {
  const facts = await stat(path).catch(() => undefined)
  return facts && [facts.dev, facts.ino, facts.size, facts.mtimeMs].join(' ')
}

/** The last results by their key. */
export class Recent<Value> {
  readonly #results = new Map<string, Promise<Value>>()
  readonly #capacity: number

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** The result of `make`, made again when one of the files has changed. */
  async of(key: string, files: readonly string[], make: () => Promise<Value>): Promise<Value> {
    const versions = await Promise.all(files.map(fileVersion))
    const full = JSON.stringify([key, files, versions])
    const found = this.#results.get(full) ?? make()
    this.#results.delete(full)
    this.#results.set(full, found)
    // A failure may be over at the next try.
    found.catch(() => this.#results.delete(full))
    for (const old of this.#results.keys()) {
      if (this.#results.size <= this.#capacity) break
      this.#results.delete(old)
    }
    return found
  }
}
