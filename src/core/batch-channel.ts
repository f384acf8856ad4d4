// Hands items from one loop to another within a thread. The giver waits while enough are waiting.

/** Items that `put` gives, in their order, until `end`. */
export class BatchChannel<Item> implements AsyncIterable<Item> {
  readonly #items: Item[] = []
  #ended = false
  #failure: { error: unknown } | undefined
  readonly #most: number
  #wakeReader: () => void = () => {}
  #wakeWriter: () => void = () => {}

  /** @param most items that wait for the reader */
  constructor(most = 4) {
    this.#most = most
  }

  /** Waits while the reader has enough to do. @throws the error that the reader left with */
  async put(item: Item): Promise<void> {
    this.#items.push(item)
    this.#wakeReader()
    while (this.#items.length >= this.#most && !this.#ended)
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve
      })
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** No more items: the reader ends after those that wait, or throws `failure`. */
  end(failure?: { error: unknown }): void {
    this.#ended = true
    this.#failure ??= failure
    this.#wakeReader()
    this.#wakeWriter()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
    for (;;) {
      const item = this.#items.shift()
      if (item !== undefined) {
        this.#wakeWriter()
        yield item
      } else if (this.#ended) {
        if (this.#failure !== undefined) throw this.#failure.error
        return
      } else
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve
        })
    }
  }
}
