// Texts that end when a signal fires: one listener for all texts of a signal, however many there are.

/** A text that a signal can end. */
interface Cancellable {
  readonly result: Promise<unknown>
  cancel(): void
}

/** The signals of a scheduler's requests. */
export class AbortListeners {
  readonly #heard = new Map<AbortSignal, { texts: Set<Cancellable>; listener: () => void }>()

  /** Cancels the texts when the signal fires, or now if it has. */
  add(signal: AbortSignal, texts: readonly Cancellable[]): void {
    if (signal.aborted) {
      for (const text of texts) text.cancel()
      return
    }
    const entry = this.#heard.get(signal) ?? this.#listen(signal)
    for (const text of texts) entry.texts.add(text)
    void Promise.allSettled(texts.map(({ result }) => result)).then(() => {
      for (const text of texts) entry.texts.delete(text)
      if (entry.texts.size > 0) return
      this.#heard.delete(signal)
      signal.removeEventListener('abort', entry.listener)
    })
  }

  #listen(signal: AbortSignal) {
    const texts = new Set<Cancellable>()
    const listener = () => {
      for (const text of texts) text.cancel()
    }
    const entry = { texts, listener }
    this.#heard.set(signal, entry)
    signal.addEventListener('abort', listener, { once: true })
    return entry
  }
}
