// Counts the documents with each n-gram of the test sets: n-grams in many documents are common phrases, not leaks.

import type { GramIndex } from './gram-index.ts'

/** Document counts of one worker; `addAll` merges those of several. */
export class GramCounter {
  readonly #index: GramIndex
  readonly #counts = new Map<number, number>()

  constructor(index: GramIndex) {
    this.#index = index
  }

  /** Counts each n-gram of a document once; returns the number of distinct ones. */
  add(text: string): number {
    const grams = new Set<number>()
    this.#index.scan(text, ({ gram }) => grams.add(gram))
    for (const gram of grams) this.#counts.set(gram, (this.#counts.get(gram) ?? 0) + 1)
    return grams.size
  }

  /** Pairs of n-gram number and count, by n-gram number. */
  entries(): [gram: number, documents: number][] {
    return [...this.#counts].sort(([a], [b]) => a - b)
  }

  addAll(entries: Iterable<readonly [gram: number, documents: number]>): void {
    for (const [gram, documents] of entries) this.#counts.set(gram, (this.#counts.get(gram) ?? 0) + documents)
  }

  /** The n-grams in more than `maxDocuments` documents. */
  common(maxDocuments = 10): Set<number> {
    return new Set([...this.#counts].filter(([, documents]) => documents > maxDocuments).map(([gram]) => gram))
  }
}
