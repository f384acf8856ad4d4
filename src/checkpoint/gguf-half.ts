// Values of float16 bits, for the dequantisation of GGUF blocks.

/** Writes the values of `blocks` blocks from the start of `bytes` to `out`. */
export type Dequantize = (bytes: Uint8Array, blocks: number, out: Float32Array) => void

/** Values of all float16 bit patterns, computed when they are first used. */
let halves: Float32Array | undefined
export const halfValues = (): Float32Array => {
  if (halves !== undefined) return halves
  halves = new Float32Array(65536)
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31
    const fraction = bits & 1023
    const size =
      exponent === 0
        ? fraction * 2 ** -24
        : exponent < 31
          ? (1024 + fraction) * 2 ** (exponent - 25)
          : fraction === 0
            ? Number.POSITIVE_INFINITY
            : Number.NaN
    halves[bits] = bits >= 0x8000 ? -size : size
  }
  return halves
}
