// Results that are kept while the files that they were made from stay as they are.
import { fileVersion } from '../file-version.ts'

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
