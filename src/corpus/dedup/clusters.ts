// Transitive clusters of linked items by union-find. The result depends only on the set of links.

/** Clusters of items, 4 bytes per item; the root of an item is the smallest item of its cluster. */
export class Clusters {
  readonly #parents: Uint32Array

  constructor(items: number) {
    this.#parents = new Uint32Array(items)
    for (let i = 0; i < items; i++) this.#parents[i] = i
  }

  link(a: number, b: number): void {
    const rootA = this.root(a)
    const rootB = this.root(b)
    // The smaller item is always the root, in any order of the links.
    if (rootA < rootB) this.#parents[rootB] = rootA
    else if (rootB < rootA) this.#parents[rootA] = rootB
  }

  root(item: number): number {
    const parents = this.#parents
    let at = item
    while (parents[at] !== at) {
      parents[at] = parents[parents[at]]
      at = parents[at]
    }
    return at
  }

  /** The root of every item. */
  roots(): Uint32Array {
    for (let i = 0; i < this.#parents.length; i++) this.#parents[i] = this.root(i)
    return this.#parents
  }
}
