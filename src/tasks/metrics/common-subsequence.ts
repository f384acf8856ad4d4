// Longest common subsequences, bit-parallel with 32 columns per word: a row of the dynamic-programming table is stored as bits that mark
// where the length grows, so that memory is far from quadratic.
// @source Hyyrö 2004, Bit-parallel LCS-length computation revisited

interface Places {
  /** Ascending positions of a value in `other`. */
  of(value: number): readonly number[] | undefined
  words: number
}

const placesIn = (other: ArrayLike<number>): Places => {
  const places = new Map<number, number[]>()
  for (let j = 0; j < other.length; j++) {
    const list = places.get(other[j])
    if (list === undefined) places.set(other[j], [j])
    else list.push(j)
  }
  return { of: (value) => places.get(value), words: (other.length + 31) >>> 5 }
}

/** The initial row; a zero bit marks a column where the length grows. */
const firstRow = (words: number): Uint32Array => new Uint32Array(words).fill(0xffffffff)

/** Advances the row by one value with matches at `places`. Words without a match only propagate carries. */
const advance = (row: Uint32Array, places: readonly number[] | undefined): void => {
  if (places === undefined) return
  let at = 0
  let carry = 0
  let word = 0
  while (at < places.length || carry > 0) {
    if (carry === 0) word = places[at] >>> 5
    if (word >= row.length) return
    let mask = 0
    for (; at < places.length && places[at] >>> 5 === word; at++) mask |= 1 << (places[at] & 31)
    const bits = row[word]
    const matched = (bits & mask) >>> 0
    const sum = bits + matched + carry
    row[word] = (sum | (bits & ~matched)) >>> 0
    carry = sum > 0xffffffff ? 1 : 0
    word++
  }
}

const ones = (bits: number): number => {
  let rest = bits - ((bits >>> 1) & 0x55555555)
  rest = (rest & 0x33333333) + ((rest >>> 2) & 0x33333333)
  return (((rest + (rest >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24
}

/** The length of the subsequence up to column `to`, exclusive. */
const lengthAt = (row: Uint32Array, to: number): number => {
  let grown = 0
  const whole = to >>> 5
  for (let word = 0; word < whole; word++) grown += ones(~row[word] >>> 0)
  const rest = to & 31
  return rest === 0 ? grown : grown + ones((~row[whole] & ((1 << rest) - 1)) >>> 0)
}

const grows = (row: Uint32Array, place: number): boolean => ((row[place >>> 5] >>> (place & 31)) & 1) === 0

/** The length of the longest common subsequence. */
export const lcsLength = (one: ArrayLike<number>, other: ArrayLike<number>): number => {
  const places = placesIn(other)
  const row = firstRow(places.words)
  for (let i = 0; i < one.length; i++) advance(row, places.of(one[i]))
  return lengthAt(row, other.length)
}

/**
 * Marks the positions in `one` of the longest common subsequence that backtracking from the end finds, as rouge-score does. Memory:
 * O(one + other * sqrt(one)).
 */
export const markLcs = (one: ArrayLike<number>, other: ArrayLike<number>, marks: Uint8Array): void => {
  const places = placesIn(other)
  const { words } = places
  const block = Math.max(1, Math.ceil(Math.sqrt(one.length)))
  const starts: Uint32Array[] = []
  const row = firstRow(words)
  for (let i = 0; i < one.length; i++) {
    if (i % block === 0) starts.push(row.slice())
    advance(row, places.of(one[i]))
  }
  const rows = Array.from({ length: block + 1 }, () => new Uint32Array(words))
  let j = other.length
  for (let start = starts.length - 1; start >= 0 && j > 0; start--) {
    const from = start * block
    const to = Math.min(one.length, from + block)
    rows[0].set(starts[start])
    for (let i = from; i < to; i++) {
      rows[i - from + 1].set(rows[i - from])
      advance(rows[i - from + 1], places.of(one[i]))
    }
    for (let i = to; i > from && j > 0; ) {
      const [above, here] = [rows[i - from - 1], rows[i - from]]
      if (one[i - 1] === other[j - 1]) {
        marks[i - 1] = 1
        i--
        j--
      } else if (!grows(here, j - 1) && lengthAt(above, j) < lengthAt(here, j)) j--
      else i--
    }
  }
}
