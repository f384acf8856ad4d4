// What several builds of one run share, such as records that were read and encoded once: a run plans itself before it is built. Holds no
// tensors, as those of a plan have no values.

interface Closable {
  close(): void
}

const isClosable = (value: unknown): value is Closable =>
  typeof (value as Partial<Closable> | null)?.close === 'function'

/** Data by name. */
export class SharedData {
  readonly #made = new Map<string, Promise<unknown>>()

  /** The value of a name, which is made unless it is known. A value that could not be made is tried again. */
  async once<Value>(name: string, make: () => Promise<Value>): Promise<Value> {
    const known = this.#made.get(name)
    if (known !== undefined) return known as Promise<Value>
    const made = make()
    this.#made.set(name, made)
    try {
      return await made
    } catch (error) {
      this.#made.delete(name)
      throw error
    }
  }

  /** Closes the values that can be closed. */
  async close(): Promise<void> {
    for (const made of this.#made.values()) {
      const value = await made.catch(() => undefined)
      if (isClosable(value)) value.close()
    }
    this.#made.clear()
  }
}

/** Makes a value, or takes it from what builds share. */
export const once = <Value>(
  { shared }: { shared?: Pick<SharedData, 'once'> },
  name: string,
  make: () => Promise<Value>,
): Promise<Value> => (shared === undefined ? make() : shared.once(name, make))
