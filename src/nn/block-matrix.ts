// A matrix in a block format of GGUF files, as it lies in the mapped file: not trained and never dequantised as a whole.
// Where a state is loaded by path, a tensor without memory stands for it. Independent of layers and of files.
import { ConfigError } from '../core/index.ts'
import {
  blockEmbedding,
  blockLinear,
  empty,
  finiteBlocks,
  keep,
  keepPackedBlocks,
  type Tensor,
  unpackBlocks,
} from '../tensor/index.ts'

/** Names of the block formats. */
export const blockFormats = ['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K'] as const
/** Name of a block format. */
export type BlockFormat = (typeof blockFormats)[number]

/** Whether a name is one of a block format. */
export const isBlockFormat = (name: string): name is BlockFormat => (blockFormats as readonly string[]).includes(name)

/** Parts of a matrix of blocks. */
export interface BlockMatrixParts {
  format: BlockFormat
  shape: readonly [outputs: number, inputs: number]
  /** uint8 [outputs, bytes of a row] */
  blocks: Tensor
  /** int64 [outputs]: the stored row of each row (default: all rows as stored). */
  order?: Tensor
}

/** A matrix [outputs, inputs] of blocks. */
export class BlockMatrix {
  readonly format: BlockFormat
  readonly shape: readonly [outputs: number, inputs: number]
  readonly codes: Tensor
  readonly order: Tensor | null

  constructor({ format, shape, blocks, order }: BlockMatrixParts) {
    this.format = format
    this.shape = [...shape]
    this.codes = keep(blocks)
    this.order = order === undefined ? null : keep(order)
  }

  /** @throws ConfigError for another device than the CPU, which has the only kernels for blocks */
  move(device: string): void {
    if (device !== 'cpu')
      throw new ConfigError(
        `A matrix in ${this.format} blocks stays on the CPU, got device ${device}. Load the file with \`weights\` set to unpacked.`,
      )
  }

  /** `x Mᵀ + bias`, [..., inputs] -> [..., outputs]; each group of 32 inputs is quantised to int8. */
  multiply(input: Tensor, bias: Tensor | null): Tensor {
    return blockLinear(input, this.codes, this.format, this.order, bias)
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
    return unpackBlocks(this.codes, this.format, this.order)
  }

  /** Rows by id in float32: int64 [...] -> [..., inputs]. */
  rows(ids: Tensor): Tensor {
    const stored = this.order === null ? ids : this.order.indexSelect(0, ids.flatten()).view(ids.shape)
    return blockEmbedding(this.codes, this.format, stored)
  }

  /** Keeps it in the layout of its products too, see `keepPackedBlocks`. Returns the number of bytes that this takes. */
  keepPacked(): number {
    return keepPackedBlocks(this.codes, this.format, this.order)
  }

  /** Whether all its elements are finite. */
  get isFinite(): boolean {
    return finiteBlocks(this.codes, this.format)
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
