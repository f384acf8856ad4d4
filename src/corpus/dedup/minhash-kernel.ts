// The inner loop of MinHash: the minimum over all shingles for each of k hash functions. Four functions at a time in
// WebAssembly SIMD; the plain loop gives the same numbers without SIMD and in the tests.
// Function j maps the shingle (first, second) to a[j]·first + c[j]·second mod 2^32, compared as int32.

/** Shingles per block; their pairs fit in the first-level cache. */
export const blockShingles = 1024

export interface MinhashKernel {
  /** Input: up to `blockShingles` pairs. */
  readonly shingles: Int32Array
  /** Minima so far, one per hash function. */
  readonly minima: Int32Array
  /** Updates the minima with the first `count` shingles, at least 1. */
  update(count: number): void
}

/** A kernel for multipliers a[0], c[0], a[1], c[1], …, all odd so that each function is a bijection in both lanes. */
export const createMinhashKernel = (multipliers: Int32Array): MinhashKernel =>
  createSimdKernel(multipliers) ?? createPlainKernel(multipliers)

export const createPlainKernel = (multipliers: Int32Array): MinhashKernel => {
  const functions = multipliers.length / 2
  const shingles = new Int32Array(blockShingles * 2)
  const minima = new Int32Array(functions)
  return {
    shingles,
    minima,
    update(count) {
      for (let j = 0; j < functions; j++) {
        const a = multipliers[j * 2]
        const c = multipliers[j * 2 + 1]
        let least = minima[j]
        for (let i = 0; i < count * 2; i += 2) {
          const value = (Math.imul(a, shingles[i]) + Math.imul(c, shingles[i + 1])) | 0
          if (value < least) least = value
        }
        minima[j] = least
      }
    },
  }
}

const lanes = 4

/** The used part of WebAssembly, whose types are in the DOM library. */
declare const WebAssembly: {
  validate(bytes: Uint8Array): boolean
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object) => { exports: object }
}

export const createSimdKernel = (multipliers: Int32Array): MinhashKernel | undefined => {
  const bytes = moduleBytes()
  if (!WebAssembly.validate(bytes)) return undefined
  const functions = multipliers.length / 2
  const groups = Math.ceil(functions / lanes)
  const { memory, update } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as {
    memory: { buffer: ArrayBuffer; grow(pages: number): number }
    update: (shingles: number, end: number, multipliers: number, minima: number, minimaEnd: number) => void
  }
  const shinglesAt = 0
  const multipliersAt = shinglesAt + blockShingles * 8
  const minimaAt = multipliersAt + groups * lanes * 8
  const minimaEnd = minimaAt + groups * lanes * 4
  const pages = Math.ceil(minimaEnd / 65_536)
  if (pages > 1) memory.grow(pages - 1)
  // a[0..3] then c[0..3] for each group; minima of the padding are not read.
  const grouped = new Int32Array(memory.buffer, multipliersAt, groups * lanes * 2)
  for (let j = 0; j < functions; j++) {
    const at = Math.floor(j / lanes) * lanes * 2 + (j % lanes)
    grouped[at] = multipliers[j * 2]
    grouped[at + lanes] = multipliers[j * 2 + 1]
  }
  return {
    shingles: new Int32Array(memory.buffer, shinglesAt, blockShingles * 2),
    minima: new Int32Array(memory.buffer, minimaAt, functions),
    update: (count) => update(shinglesAt, shinglesAt + count * 8, multipliersAt, minimaAt, minimaEnd),
  }
}

/** The WebAssembly module, assembled here to avoid a build step for 120 bytes. */
const moduleBytes = (): Uint8Array<ArrayBuffer> => {
  const [i32, v128] = [0x7f, 0x7b]
  const get = (local: number) => [0x20, local]
  const set = (local: number) => [0x21, local]
  const add = (local: number, amount: number) => [...get(local), 0x41, amount, 0x6a, ...set(local)]
  const load = (local: number, offset: number) => [...get(local), 0xfd, 0x00, 4, offset]
  const splat = (local: number, offset: number) => [...get(local), 0xfd, 0x09, 2, offset]
  const multiply = [0xfd, 0xb5, 0x01]
  const sum = [0xfd, 0xae, 0x01]
  const minimum = [0xfd, 0xb6, 0x01]
  const [shingles, end, multipliers, minima, minimaEnd, at, a, c, least] = [0, 1, 2, 3, 4, 5, 6, 7, 8]
  const body = [
    ...[2, 1, i32, 3, v128],
    ...[0x03, 0x40], // loop over groups of four functions
    ...[...load(multipliers, 0), ...set(a), ...load(multipliers, 16), ...set(c), ...load(minima, 0), ...set(least)],
    ...[...get(shingles), ...set(at)],
    ...[0x03, 0x40], // loop over shingles
    ...get(least),
    ...[...get(a), ...splat(at, 0), ...multiply],
    ...[...get(c), ...splat(at, 4), ...multiply],
    ...[...sum, ...minimum, ...set(least)],
    ...add(at, 8),
    ...[...get(at), ...get(end), 0x49, 0x0d, 0, 0x0b], // again while at < end
    ...[...get(minima), ...get(least), 0xfd, 0x0b, 4, 0],
    ...[...add(multipliers, 32), ...add(minima, 16)],
    ...[...get(minima), ...get(minimaEnd), 0x49, 0x0d, 0, 0x0b],
    0x0b,
  ]
  const section = (id: number, content: number[]) => [id, content.length, ...content]
  const name = (text: string) => [text.length, ...Buffer.from(text)]
  const code = [1, ...lengthOf(body), ...body]
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 5, i32, i32, i32, i32, i32, 0]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, 1]),
    ...section(7, [2, ...name('memory'), 2, 0, ...name('update'), 0, 0]),
    ...[10, ...lengthOf(code), ...code],
  ])
}

/** LEB128 of a length under 2^14. */
const lengthOf = (content: number[]): number[] =>
  content.length < 128 ? [content.length] : [(content.length & 127) | 128, content.length >>> 7]
