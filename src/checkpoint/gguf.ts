// GGUF, the file format of llama.cpp: metadata and memory-mapped tensors; quantised tensors are dequantised to float32
// when they are read. Independent of models, which gguf-model.ts and gguf-tokenizer.ts interpret.
import { closeSync, openSync } from 'node:fs'
import { CheckpointError } from '../core/index.ts'
import { empty, type MappedFile, mapFile, scope, Tensor } from '../tensor/index.ts'
import { type GgufEntry, type GgufValue, readGgufHeader } from './gguf-header.ts'
import { readableGgufTypes } from './gguf-types.ts'

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

// Values dequantised at a time: most matrices at once, but never so many that they exceed the processor's caches.
const chunkValues = 1 << 20

/** Buffers shared by all reads of a file: newly allocated pages would cost more than the work. */
interface Scratch {
  bytes: Uint8Array
  values: Float32Array
}

/** The error for a type that is not supported. */
export const unreadable = (path: string, name: string, type: string): CheckpointError =>
  new CheckpointError(
    `${path}: Expected a tensor of type ${readableGgufTypes.join(', ')} for \`${name.slice(0, 100)}\`, got ${type}. ` +
      'Convert the file with `llama-quantize --allow-requantize IN.gguf OUT.gguf Q8_0`, or download its F16, BF16, Q8_0 or Q4_K_M version.',
  )

const readEntry = (
  mapped: MappedFile,
  entry: GgufEntry,
  scratchOf: () => Scratch,
  where: { name: string; path: string },
): Tensor => {
  const { type, shape, byteOffset, bytes } = entry
  if (type.dtype !== undefined) return mapped.tensor(byteOffset, shape, type.dtype)
  if (type.dequantize === undefined) throw unreadable(where.path, where.name, type.name)
  const { dequantize } = type
  const total = bytes / type.blockBytes
  const most = chunkValues / type.blockSize
  const scratch = scratchOf()
  /** `blocks` blocks from `first` as a tensor of one dimension. */
  const decode = (first: number, blocks: number): Tensor => {
    const stored = scratch.bytes.subarray(0, blocks * type.blockBytes)
    const values = scratch.values.subarray(0, blocks * type.blockSize)
    const source = mapped.tensor(byteOffset + first * type.blockBytes, [stored.length], 'uint8')
    source.copyInto(stored)
    source.free()
    dequantize(stored, blocks, values)
    return Tensor.from(values)
  }
  if (total <= most) return scope(() => decode(0, total).view(shape))
  const out = empty([total * type.blockSize])
  for (let first = 0; first < total; first += most)
    scope(() => {
      const part = decode(first, Math.min(most, total - first))
      out.narrow(0, first * type.blockSize, part.size).copy_(part)
    })
  const shaped = out.view(shape)
  out.free()
  return shaped
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
    let scratch: Scratch | undefined
    const scratchOf = (): Scratch => {
      // No supported quantised type has more than two bytes a value.
      scratch ??= { bytes: new Uint8Array(chunkValues * 2), values: new Float32Array(chunkValues) }
      return scratch
    }
    const open = (): MappedFile => {
      if (mapped === undefined)
        throw new CheckpointError(`${path}: Expected an open file, got a closed one. Open it again.`)
      return mapped
    }
    return {
      path,
      version,
      metadata,
      tensors: new Map(
        [...tensors].map(([name, entry]) => [
          name,
          {
            shape: entry.shape,
            type: entry.type.name,
            readable: readableGgufTypes.includes(entry.type.name),
            read: () => readEntry(open(), entry, scratchOf, { name, path }),
          },
        ]),
      ),
      close: () => {
        mapped = undefined
        scratch = undefined
      },
    }
  } finally {
    closeSync(file)
  }
}
