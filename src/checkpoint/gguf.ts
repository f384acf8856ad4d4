// GGUF files, the format of llama.cpp: metadata and tensors, memory-mapped; quantised ones become float32 when read.
// Knows no model: gguf-model.ts and gguf-tokenizer.ts do.
import { closeSync, openSync } from 'node:fs'
import { CheckpointError } from '../core/index.ts'
import { empty, type MappedFile, mapFile, scope, Tensor } from '../tensor/index.ts'
import { type GgufEntry, type GgufValue, readGgufHeader } from './gguf-header.ts'
import { readableGgufTypes } from './gguf-types.ts'

export interface GgufTensor {
  /** Slowest dimension first, as PyTorch has it. */
  shape: readonly number[]
  /** ggml's name: `F32`, `Q4_K` … */
  type: string
  /** Whether `read` can give the values. */
  readable: boolean
  /** The values: over the file's own bytes where they are stored plainly, dequantised to float32 otherwise. */
  read(): Tensor
}

export interface GgufFile {
  path: string
  version: number
  metadata: Map<string, GgufValue>
  tensors: Map<string, GgufTensor>
  /** Lets go of the file; tensors that were read stay valid. */
  close(): void
}

// Dequantised at a time: small enough to stay in the processor's cache.
const chunkValues = 1 << 15

/** The error for a type whose blocks we do not decode. */
export const unreadable = (path: string, name: string, type: string): CheckpointError =>
  new CheckpointError(
    `${path}: Expected a tensor of type ${readableGgufTypes.join(', ')} for \`${name.slice(0, 100)}\`, got ${type}. ` +
      'Convert the file with `llama-quantize --allow-requantize IN.gguf OUT.gguf Q8_0`, or take its F16, BF16, Q8_0 or Q4_K_M version.',
  )

const readEntry = (mapped: MappedFile, entry: GgufEntry, name: string, path: string): Tensor => {
  const { type, shape, byteOffset, bytes } = entry
  if (type.dtype !== undefined) return mapped.tensor(byteOffset, shape, type.dtype)
  if (type.dequantize === undefined) throw unreadable(path, name, type.name)
  const blocks = bytes / type.blockBytes
  const out = empty([blocks * type.blockSize])
  const chunk = Math.max(1, Math.floor(chunkValues / type.blockSize))
  const stored = new Uint8Array(Math.min(chunk, blocks) * type.blockBytes)
  const values = new Float32Array(Math.min(chunk, blocks) * type.blockSize)
  for (let block = 0; block < blocks; block += chunk) {
    const count = Math.min(chunk, blocks - block)
    const size = count * type.blockSize
    scope(() => {
      mapped
        .tensor(byteOffset + block * type.blockBytes, [count * type.blockBytes], 'uint8')
        .copyInto(stored.subarray(0, count * type.blockBytes))
      type.dequantize?.(stored, count, values)
      out.narrow(0, block * type.blockSize, size).copy_(Tensor.from(values.subarray(0, size)))
    })
  }
  const shaped = out.view(shape)
  out.free()
  return shaped
}

/**
 * Opens a GGUF file of version 2 or 3. Nothing but its header is read.
 * @throws CheckpointError when any count, length, type, offset or name is not sound.
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
      if (mapped === undefined) throw new CheckpointError(`${path}: Expected an open file, got one that was closed.`)
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
            read: () => readEntry(open(), entry, name, path),
          },
        ]),
      ),
      close: () => {
        mapped = undefined
      },
    }
  } finally {
    closeSync(file)
  }
}
