// A matrix in a block format of GGUF files, as it lies in the mapped file, or of int8 with a scale for each row: not trained and never
// dequantised as a whole.
// Where a state is loaded by path, a tensor without memory stands for it. Independent of layers and of files.
import {
  blockEmbedding,
  blockLinear,
  dropPacked,
  empty,
  finiteBlocks,
  keep,
  keepPackedBlocks,
  noGrad,
  noGradScope,
  type Tensor,
  unpackBlocks,
} from '../tensor/index.ts'
import {
  type BlockFormat,
  blockFormats,
  type IntegerFormat,
  plainBlockLinear,
  plainBlockRows,
  plainUnpackBlocks,
} from './plain-blocks.ts'
import type { LowRankChange } from './quantized-matrix.ts'

/** Whether a name is one of a block format. */
export const isBlockFormat = (name: string): name is BlockFormat => (blockFormats as readonly string[]).includes(name)

export interface BlockMatrixParts {
  format: IntegerFormat
  shape: readonly [outputs: number, inputs: number]
  /** uint8 [outputs, bytes of a row] */
  blocks: Tensor
  /** int64 [outputs]: the stored row of each row (default: all rows as stored). */
  order?: Tensor
}

/** A matrix [outputs, inputs] of blocks. */
export class BlockMatrix {
  readonly format: IntegerFormat
  readonly shape: readonly [outputs: number, inputs: number]
  #codes: Tensor
  #order: Tensor | null

  constructor({ format, shape, blocks, order }: BlockMatrixParts) {
    this.format = format
    this.shape = [...shape]
    const gathers = order !== undefined && blocks.device !== 'cpu'
    this.#codes = keep(gathers ? noGrad(() => blocks.indexSelect(0, order)) : blocks)
    this.#order = order === undefined || gathers ? null : keep(order)
  }

  /** uint8 [stored rows, bytes of a row] */
  get codes(): Tensor {
    return this.#codes
  }

  /** int64 [outputs]: the stored row of each row; null where the rows are all rows as stored, as always on other devices than the CPU. */
  get order(): Tensor | null {
    return this.#order
  }

  /** Whether the CPU's kernels compute with it; other devices have compositions. */
  get #hasKernels(): boolean {
    return this.#codes.device === 'cpu'
  }

  /**
   * Moves it to a device, with its rows in order. Other devices than the CPU dequantise some rows at a time for each product. The
   * memory on the old device is left to the garbage collector, since matrices may share it.
   */
  move(device: string): void {
    const before = this.#codes
    const [codes, order] = noGrad(() => [before, this.#order].map((one) => one?.to({ device }) ?? null))
    // Else it is another name of the same memory.
    if (codes === null || codes.device === before.device) return
    if (this.#hasKernels) dropPacked([before])
    this.#codes = keep(order === null ? codes : noGrad(() => codes.indexSelect(0, order)))
    this.#order = null
  }

  /** `x Mᵀ + bias`, [..., inputs] -> [..., outputs]; inputs are quantised to int8, in groups of 32 or, for the format int8, by rows. */
  multiply(input: Tensor, bias: Tensor | null): Tensor {
    return this.#hasKernels
      ? blockLinear(input, this.codes, this.format, this.order, bias)
      : plainBlockLinear(input, this.codes, this.format, bias)
  }

  /** Undefined: there is no operator over blocks that adds a low-rank change. */
  multiplyWithLowRank(_input: Tensor, _change: LowRankChange, _bias: Tensor | null): undefined {
    return undefined
  }

  /** Some of its rows as a matrix of the same blocks. @param rows int64 [outputs] */
  select(rows: Tensor): BlockMatrix {
    const stored = this.order === null ? rows : this.order.indexSelect(0, rows)
    const ids = stored.toTypedArray() as BigInt64Array
    const [, inputs] = this.shape
    const shape = [ids.length, inputs] as const
    // Rows that lie one after the other need no order.
    return ids.every((id, i) => id === ids[0] + BigInt(i))
      ? new BlockMatrix({ format: this.format, shape, blocks: this.codes.narrow(0, Number(ids[0]), ids.length) })
      : new BlockMatrix({ format: this.format, shape, blocks: this.codes, order: stored })
  }

  /** A float32 copy. */
  dequantize(): Tensor {
    return this.#hasKernels
      ? unpackBlocks(this.codes, this.format, this.order)
      : plainUnpackBlocks(this.codes, this.format)
  }

  /** Rows by id in float32: int64 [...] -> [..., inputs]. */
  rows(ids: Tensor): Tensor {
    const stored = this.order === null ? ids : this.order.indexSelect(0, ids.flatten()).view(ids.shape)
    return this.#hasKernels
      ? blockEmbedding(this.codes, this.format, stored)
      : plainBlockRows(this.codes, this.format, stored)
  }

  /**
   * Keeps it in the layout of its products too, see `keepPackedBlocks`; on other devices than the CPU it does nothing. Returns
   * the number of bytes that this takes.
   */
  keepPacked(): number {
    return this.#hasKernels ? keepPackedBlocks(this.codes, this.format, this.order) : 0
  }

  /** Whether all its elements are finite. */
  get isFinite(): boolean {
    if (this.#hasKernels) return finiteBlocks(this.codes, this.format)
    return noGradScope(() => Boolean(this.dequantize().isfinite().all().item()))
  }

  /** All tensors that it is made of. */
  get tensors(): readonly Tensor[] {
    return this.order === null ? [this.codes] : [this.codes, this.order]
  }
}

const standIns = new WeakMap<Tensor, BlockMatrix>()

/** A tensor of the same shape without memory, which a state carries in place of the matrix. */
export const standInFor = (matrix: BlockMatrix): Tensor => {
  const tensor = keep(empty(matrix.shape, { device: 'meta' }))
  standIns.set(tensor, matrix)
  return tensor
}

/** The matrix that a tensor stands for. */
export const blockMatrixOf = (tensor: Tensor): BlockMatrix | undefined => standIns.get(tensor)
