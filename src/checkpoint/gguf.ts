// GGUF, the file format of llama.cpp: metadata and memory-mapped tensors. Quantised tensors are dequantised to float32, or
// opened as matrices of blocks, of which nothing is copied. Independent of models, which gguf-model.ts and
// gguf-tokenizer.ts interpret.
import { closeSync, openSync } from 'node:fs'
import { CheckpointError } from '../core/index.ts'
import { type BlockFormat, BlockMatrix } from '../nn/index.ts'
import { empty, type MappedFile, mapFile, scope, Tensor, unpackBlocks } from '../tensor/index.ts'
import { type GgufEntry, type GgufValue, readGgufHeader } from './gguf-header.ts'
import { type Dequantize, readableGgufTypes } from './gguf-types.ts'

/** A tensor of a GGUF file. */
export interface GgufTensor {
  /** Slowest dimension first, as in PyTorch. */
  shape: readonly number[]
  /** ggml's name: `F32`, `Q4_K` … */
  type: string
  /** Whether `read` supports the type. */
  readable: boolean
  /** The values: mapped from the file for plain types, dequantised to float32 for others. */
  read(): Tensor
  /**
   * A matrix of blocks in the mapped file, where the type is a block format.
   * @param order int64 [rows]: the stored row of each row
   */
  readBlocks?(order?: Tensor): BlockMatrix
  /** The tensors along the first dimension, which has one for each expert. */
  parts(): GgufTensor[]
}

/** An open GGUF file. */
export interface GgufFile {
  path: string
  version: number
  metadata: Map<string, GgufValue>
  tensors: Map<string, GgufTensor>
  /** Closes the file; tensors that were read stay valid. */
  close(): void
}

export const unreadable = (path: string, name: string, type: string): CheckpointError =>
  new CheckpointError(
    `${path}: Expected a tensor of type ${readableGgufTypes.join(', ')} for \`${name.slice(0, 100)}\`, got ${type}. ` +
      'Convert the file with `llama-quantize --allow-requantize IN.gguf OUT.gguf Q8_0`, or download its F16, BF16, Q8_0 or Q4_K_M version.',
  )

/** Rows of blocks of an entry, uint8 [rows, bytes of a row]. */
const blocksOf = (mapped: MappedFile, { type, shape, byteOffset, bytes }: GgufEntry): Tensor => {
  const rowBytes = ((shape.at(-1) ?? 1) / type.blockSize) * type.blockBytes
  return mapped.tensor(byteOffset, [bytes / rowBytes, rowBytes], 'uint8')
}

/** Values of blocks that the addon does not read, a part at a time. */
const dequantized = (
  mapped: MappedFile,
  { type, shape, byteOffset, bytes }: GgufEntry,
  dequantize: Dequantize,
): Tensor => {
  const total = bytes / type.blockBytes
  const most = Math.min(total, (1 << 20) / type.blockSize)
  const stored = new Uint8Array(most * type.blockBytes)
  const values = new Float32Array(most * type.blockSize)
  const out = empty([total * type.blockSize])
  for (let first = 0; first < total; first += most)
    scope(() => {
      const blocks = Math.min(most, total - first)
      const part = stored.subarray(0, blocks * type.blockBytes)
      mapped.tensor(byteOffset + first * type.blockBytes, [part.length], 'uint8').copyInto(part)
      const read = values.subarray(0, blocks * type.blockSize)
      dequantize(part, blocks, read)
      out.narrow(0, first * type.blockSize, read.length).copy_(Tensor.from(read))
    })
  const shaped = out.view(shape)
  out.free()
  return shaped
}

const readEntry = (mapped: MappedFile, entry: GgufEntry, where: { name: string; path: string }): Tensor => {
  const { type, shape, byteOffset, bytes } = entry
  if (type.dtype !== undefined) return mapped.tensor(byteOffset, shape, type.dtype)
  const { format, dequantize } = type
  if (format === undefined && dequantize === undefined) throw unreadable(where.path, where.name, type.name)
  if (bytes === 0) return empty(shape)
  if (format === undefined) return dequantized(mapped, entry, dequantize as Dequantize)
  return scope(() => unpackBlocks(blocksOf(mapped, entry), format).view(shape))
}

/** The parts of an entry along its first dimension. */
const partsOf = (entry: GgufEntry): GgufEntry[] => {
  const [count, ...shape] = entry.shape
  const bytes = entry.bytes / count
  return Array.from({ length: count }, (_, i) => ({ ...entry, shape, bytes, byteOffset: entry.byteOffset + i * bytes }))
}

const blockReader = (
  open: () => MappedFile,
  entry: GgufEntry,
  format: BlockFormat,
): Pick<GgufTensor, 'readBlocks'> => ({
  readBlocks: (order) => {
    const [outputs, inputs] = entry.shape
    return new BlockMatrix({ format, shape: [outputs, inputs], blocks: blocksOf(open(), entry), order })
  },
})

const tensorOf = (open: () => MappedFile, entry: GgufEntry, where: { name: string; path: string }): GgufTensor => {
  const { shape, type, bytes } = entry
  return {
    shape,
    type: type.name,
    readable: readableGgufTypes.includes(type.name),
    read: () => readEntry(open(), entry, where),
    parts: () => partsOf(entry).map((part) => tensorOf(open, part, where)),
    ...(type.format !== undefined && shape.length === 2 && bytes > 0 ? blockReader(open, entry, type.format) : {}),
  }
}

/**
 * Opens a GGUF file of version 2 or 3 and reads its header.
 * @throws CheckpointError for any invalid count, length, type, offset or name
 */
export const openGguf = async (path: string): Promise<GgufFile> => {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (error) {
    throw new CheckpointError(`${path}: Expected a readable file (${(error as Error).message}).`)
  }
  try {
    const { version, metadata, tensors } = readGgufHeader(file, path)
    let mapped: MappedFile | undefined = mapFile(path)
    const open = (): MappedFile => {
      if (mapped === undefined)
        throw new CheckpointError(`${path}: Expected an open file, got a closed one. Open it again.`)
      return mapped
    }
    return {
      path,
      version,
      metadata,
      tensors: new Map([...tensors].map(([name, entry]) => [name, tensorOf(open, entry, { name, path })])),
      close: () => {
        mapped = undefined
      },
    }
  } finally {
    closeSync(file)
  }
}
