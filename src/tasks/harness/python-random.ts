// Random numbers as Python's `random.Random(seed)` gives them, so that few-shot examples are those that lm-eval chooses.
// @source Matsumoto and Nishimura 1998 (MT19937); CPython 3, `random.Random.seed`, `_randbelow` and `sample`

const size = 624
const middle = 397

/** The part of Python's generator that sampling needs. */
export class PythonRandom {
  readonly #state = new Uint32Array(size)
  #at = size

  /** @param seed whole number; as in Python, its sign is ignored */
  constructor(seed: number) {
    const key: number[] = []
    for (let rest = BigInt(Math.abs(seed)); rest > 0n || key.length === 0; rest >>= 32n)
      key.push(Number(rest & 0xffffffffn))
    this.#seed(key)
  }

  #seed(key: readonly number[]): void {
    const state = this.#state
    state[0] = 19650218
    for (let i = 1; i < size; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i
    let [i, j] = [1, 0]
    const step = (factor: number) => Math.imul(state[i - 1] ^ (state[i - 1] >>> 30), factor) ^ state[i]
    const next = () => {
      if (++i < size) return
      state[0] = state[size - 1]
      i = 1
    }
    for (let k = Math.max(size, key.length); k > 0; k--) {
      state[i] = step(1664525) + key[j] + j
      j = (j + 1) % key.length
      next()
    }
    for (let k = size - 1; k > 0; k--) {
      // Recombined without the key, as in `init_by_array`.
      state[i] = step(1566083941) - i
      next()
    }
    state[0] = 0x80000000
  }

  #refill(): void {
    const state = this.#state
    for (let i = 0; i < size; i++) {
      const mixed = (state[i] & 0x80000000) | (state[(i + 1) % size] & 0x7fffffff)
      state[i] = state[(i + middle) % size] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0)
    }
    this.#at = 0
  }

  /** 32 random bits. */
  uint32(): number {
    if (this.#at >= size) this.#refill()
    let bits = this.#state[this.#at++]
    bits ^= bits >>> 11
    bits ^= (bits << 7) & 0x9d2c5680
    bits ^= (bits << 15) & 0xefc60000
    return (bits ^ (bits >>> 18)) >>> 0
  }

  /** A whole number from 0 to `limit` - 1; at most 2^32. */
  below(limit: number): number {
    const bits = limit.toString(2).length
    let number = this.uint32() >>> (32 - bits)
    while (number >= limit) number = this.uint32() >>> (32 - bits)
    return number
  }

  /** Indices of `count` different items of `items`, in the order of Python's `sample`. */
  sample(items: number, count: number): number[] {
    // As in CPython: small populations are copied into a pool, large ones remember what was taken.
    const setSize = 21 + (count > 5 ? 4 ** Math.ceil(Math.log(count * 3) / Math.log(4)) : 0)
    if (items <= setSize) {
      const pool = Array.from({ length: items }, (_, i) => i)
      return Array.from({ length: count }, (_, i) => {
        const at = this.below(items - i)
        const taken = pool[at]
        pool[at] = pool[items - i - 1]
        return taken
      })
    }
    const taken = new Set<number>()
    while (taken.size < count) taken.add(this.below(items))
    return [...taken]
  }
}
