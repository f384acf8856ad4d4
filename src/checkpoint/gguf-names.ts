// What the tables of names of all architectures are made of: sizes, names with shapes, and the order of rows. Independent of
// architectures and of files.
import { noGrad, Tensor } from '../tensor/index.ts'

/** Sizes that the shapes of tensors follow from. */
export interface GgufSizes {
  hidden: number
  intermediate: number
  layers: number
  heads: number
  kvHeads: number
  headDim: number
  /** Elements of a head that are rotated (default: all). */
  rotaryDim?: number
  vocab: number
  positions: number
  /** Rows of the table of segments (default: 1). */
  segments?: number
  /** Of an encoder-decoder: layers of the decoder, buckets of the relative positions, and gated feed-forward blocks. */
  decoderLayers?: number
  buckets?: number
  gated?: boolean
  /** Of mixtures of experts: their number, and the width of each (default: that of feed-forward blocks). */
  experts?: number
  expertSize?: number
}

/** The order of a matrix's rows in the file: in Hugging Face's files they are a table, of which two dimensions change places. */
export interface RowOrder {
  table: readonly [number, number, number]
  swapped: readonly [number, number]
}

/** A tensor of a GGUF file in Hugging Face's terms. */
export interface GgufName {
  /** Key of the tensor. Where the file has the matrices of all experts in one tensor, `{e}` is the number of an expert. */
  theirs: string
  /** Number of those matrices, which is the first dimension. */
  experts?: number
  shape: number[]
  required: boolean
  /** Order of the rows, where it is not that of Hugging Face's files. */
  order?: RowOrder
  /** Whether the matrix is transposed in Hugging Face's files. */
  transposed?: boolean
  /** What the file adds to the values. */
  offset?: number
}

/** Keys of a tensor in Hugging Face's files: one, or that of each expert. */
export const hfKeysOf = ({ theirs, experts }: Pick<GgufName, 'theirs' | 'experts'>): string[] =>
  experts === undefined
    ? [theirs]
    : Array.from({ length: experts }, (_, expert) => theirs.replace('{e}', String(expert)))

/** The two halves of a head, which RoPE pairs up, as alternate rows. */
export const pairedRows = (heads: number, headDim: number): RowOrder => ({
  table: [heads, 2, headDim / 2],
  swapped: [1, 2],
})

/** Queries, keys and values one after the other, which Hugging Face's files have head by head. */
export const separatedRows = (heads: number, headDim: number): RowOrder => ({
  table: [heads, 3, headDim],
  swapped: [0, 1],
})

/** The rows of a tensor [R,…] of Hugging Face's order as the file has them: a view [·,·,·,…]. */
export const inStoredOrder = (tensor: Tensor, { table, swapped: [a, b] }: RowOrder): Tensor =>
  tensor
    .contiguous()
    .view([...table, ...tensor.shape.slice(1)])
    .transpose(a, b)

/** The stored row of each row of Hugging Face's order, int64 [R]. */
export const storedRows = ({ table, swapped: [a, b] }: RowOrder): Tensor => {
  const rows = table.reduce((product, size) => product * size, 1)
  const stored: [number, number, number] = [...table]
  ;[stored[a], stored[b]] = [table[b], table[a]]
  const numbered = Tensor.from(
    BigInt64Array.from({ length: rows }, (_, row) => BigInt(row)),
    { shape: stored },
  )
  return noGrad(() => numbered.transpose(a, b).reshape([rows]))
}

/** Collects the names of an architecture. */
export class NameTable {
  readonly names = new Map<string, GgufName>()

  /** One tensor. @param shape as in the file */
  add(ours: string, theirs: string, shape: number[], more: Partial<GgufName> = {}): void {
    this.names.set(ours, { theirs, shape, required: true, ...more })
  }

  /** The weight of a layer and, where it has one, its bias. @param bias whether it must have one (default: it has none) */
  layer(
    ours: string,
    theirs: string,
    shape: number[],
    { bias, ...more }: Partial<GgufName> & { bias?: 'required' | 'optional' } = {},
  ): void {
    this.add(`${ours}.weight`, `${theirs}.weight`, shape, more)
    if (bias === undefined) return
    const { order } = more
    const required = bias === 'required'
    this.add(`${ours}.bias`, `${theirs}.bias`, shape.slice(0, 1), {
      required,
      ...(order === undefined ? {} : { order }),
    })
  }
}
