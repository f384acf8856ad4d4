// A curve of bounded length for a small picture: when it is full, every second value is dropped and the distance doubles.

/** Evenly spaced values of a sequence of unknown length. */
export class Sparkline {
  #values: number[] = []
  #every = 1
  #seen = 0
  readonly #capacity: number

  constructor(capacity = 120) {
    this.#capacity = capacity
  }

  add(value: number): void {
    if (this.#seen++ % this.#every !== 0 || !Number.isFinite(value)) return
    this.#values.push(value)
    if (this.#values.length <= this.#capacity) return
    this.#values = this.#values.filter((_, i) => i % 2 === 0)
    this.#every *= 2
  }

  get values(): number[] {
    // Three digits are finer than a pixel, and short to send.
    return this.#values.map((value) => Number(value.toPrecision(3)))
  }
}
