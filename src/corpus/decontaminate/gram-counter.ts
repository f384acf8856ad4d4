// Counts in how many documents each overlap stands: those in many are common phrases, not leaks.

import type { GramIndex } from './gram-index.ts'

/** Counts of one worker; counts of several are merged by `addAll`. */
export class GramCounter {
  readonly #index: GramIndex
  readonly #counts = new Map<number, number>()

  constructor(index: GramIndex) {
    this.#index = index
  }

  /** Counts each gram of a document once; returns how many different ones it holds. */
  add(text: string): number {
    const grams = new Set<number>()
    this.#index.scan(text, ({ gram }) => grams.add(gram))
    for (const gram of grams) this.#counts.set(gram, (this.#counts.get(gram) ?? 0) + 1)
    return grams.size
  }

  /** Pairs of gram and count, in the order of the grams. */
  entries(): [gram: number, documents: number][] {
    return [...this.#counts].sort(([a], [b]) => a - b)
  }

  addAll(entries: Iterable<readonly [gram: number, documents: number]>): void {
    for (const [gram, documents] of entries) this.#counts.set(gram, (this.#counts.get(gram) ?? 0) + documents)
  }

  /** The grams that stand in more than `maxDocuments` documents. */
  common(maxDocuments = 10): Set<number> {
    return new Set([...this.#counts].filter(([, documents]) => documents > maxDocuments).map(([gram]) => gram))
  }
}
