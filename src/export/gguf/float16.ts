// float32 to the bits of float16, rounded to nearest, ties to even, and back.
const floats = new Float32Array(1)
const words = new Uint32Array(floats.buffer)

/** Bits of the nearest float16. */
export const toHalf = (value: number): number => {
  floats[0] = value
  const bits = words[0]
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude >= 0x7f800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00)
  if (magnitude >= 0x47800000) return sign | 0x7c00
  if (magnitude < 0x38800000) {
    // Below the smallest normal number: multiples of 2^-24.
    floats[0] = Math.abs(value)
    const scaled = floats[0] * 2 ** 24
    const down = Math.floor(scaled)
    const rest = scaled - down
    return sign | (rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down)
  }
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
}

/** Value of the bits of a float16. */
export const fromHalf = (bits: number): number => {
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25)
  return bits & 0x8000 ? -size : size
}
