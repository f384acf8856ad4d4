// Results that are kept while the files that they were made from stay as they are.
import { stat } from 'node:fs/promises'

/** The last results by their key. */
export class Recent<Value> {
  readonly #results = new Map<string, Promise<Value>>()
  readonly #capacity: number

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** The result of `make`, made again when one of the files has changed. */
  async of(key: string, files: readonly string[], make: () => Promise<Value>): Promise<Value> {
    const stamps = await Promise.all(files.map(stampOf))
    const full = JSON.stringify([key, files, stamps])
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

const stampOf = async (path: string): Promise<string> => {
  const found = await stat(path).catch(() => undefined)
  return found === undefined ? 'missing' : `${found.mtimeMs} ${found.size}`
}
