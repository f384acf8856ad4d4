// A growing list of numbers in a typed array.

/** Numbers that are added one by one, 8 bytes each; an array of JavaScript would copy them again and again as it grows. */
export class GrowingList {
  #values: Float64Array
  #length = 0

  /** @param capacity numbers that fit before the first copy */
  constructor(capacity = 1024) {
    this.#values = new Float64Array(capacity)
  }

  get length(): number {
    return this.#length
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const longer = new Float64Array(2 * this.#length)
      longer.set(this.#values)
      this.#values = longer
    }
    this.#values[this.#length++] = value
  }

  /** Valid until the next push. */
  values(): Float64Array {
    return this.#values.subarray(0, this.#length)
  }
}
