// 64-bit hashes of words and sequences as pairs of 32-bit numbers, without bigint in the inner loop. Stable across
// machines and releases, since key files and indexes on disk depend on them.

/** The two halves of a hash; the next call overwrites them. */
export interface HashPair {
  high: number
  low: number
}

const prime1 = 0x9e3779b1
const prime2 = 0x85ebca77
const prime3 = 0xc2b2ae3d

/** Mixes all bits of a 32-bit number. @source MurmurHash3 fmix32 */
export const mix32 = (value: number): number => {
  let x = value
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

/** Hashes `text` from `start` to `end` (UTF-16 units) into `out`. */
export const hashText = (text: string, start: number, end: number, out: HashPair): void => {
  let high = (end - start) ^ prime1
  let low = prime2
  for (let i = start; i < end; i++) {
    const unit = text.charCodeAt(i)
    high = Math.imul(high ^ unit, prime1)
    high ^= high >>> 15
    low = Math.imul(low + unit, prime3)
    low = (low << 13) | (low >>> 19)
  }
  out.high = mix32(high ^ low)
  out.low = mix32(Math.imul(low, prime1) ^ (high >>> 7) ^ unitsSalt(end - start))
}

const unitsSalt = (length: number): number => Math.imul(length + 1, prime2)

/** The bases of the two lanes of rolling hashes. */
export const base1 = 0x01000193
export const base2 = 0x9e3779b1 | 0

/** A power modulo 2^32, which removes the oldest word from a rolling hash. */
export const power = (base: number, exponent: number): number => {
  let result = 1
  for (let i = 0; i < exponent; i++) result = Math.imul(result, base)
  return result
}

/** A pair as a non-negative 64-bit bigint. */
export const toBigInt = (high: number, low: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
