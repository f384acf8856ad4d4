// A binary max-heap of integer items with scores.

/** A priority queue, highest score first; items of equal score are ordered by `precedes`. */
export class PriorityQueue {
  size = 0
  /** The score with which the item of the last `pop` was pushed. */
  poppedScore = 0
  #items = new Int32Array(1 << 12)
  #scores = new Float64Array(1 << 12)
  readonly #precedes: (a: number, b: number) => boolean

  constructor(precedes: (a: number, b: number) => boolean) {
    this.#precedes = precedes
  }

  push(item: number, score: number): void {
    if (this.size === this.#items.length) {
      const items = new Int32Array(this.size * 2)
      items.set(this.#items)
      this.#items = items
      const scores = new Float64Array(this.size * 2)
      scores.set(this.#scores)
      this.#scores = scores
    }
    let at = this.size++
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#before(score, item, this.#scores[parent], this.#items[parent])) break
      this.#scores[at] = this.#scores[parent]
      this.#items[at] = this.#items[parent]
      at = parent
    }
    this.#scores[at] = score
    this.#items[at] = item
  }

  /** Removes and returns the first item; -1 if the queue is empty. */
  pop(): number {
    if (this.size === 0) return -1
    const first = this.#items[0]
    this.poppedScore = this.#scores[0]
    const last = --this.size
    const item = this.#items[last]
    const score = this.#scores[last]
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= last) break
      if (
        child + 1 < last &&
        this.#before(this.#scores[child + 1], this.#items[child + 1], this.#scores[child], this.#items[child])
      ) {
        child++
      }
      if (!this.#before(this.#scores[child], this.#items[child], score, item)) break
      this.#scores[at] = this.#scores[child]
      this.#items[at] = this.#items[child]
      at = child
    }
    this.#scores[at] = score
    this.#items[at] = item
    return first
  }

  clear(): void {
    this.size = 0
  }

  #before(scoreA: number, a: number, scoreB: number, b: number): boolean {
    return scoreA !== scoreB ? scoreA > scoreB : this.#precedes(a, b)
  }
}
