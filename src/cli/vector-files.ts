// Files of vectors, [texts, width] float32, by the end of the file's name. Knows no model.
import { parquetWriteBuffer } from 'hyparquet-writer'
import { makeHeader } from '../checkpoint/index.ts'
import { ConfigError, writeFileAtomic } from '../core/index.ts'
import type { Tensor } from '../tensor/index.ts'

type WriteVectors = (path: string, texts: readonly string[], vectors: Tensor) => Promise<void>

const bytesOf = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

const rowOf = (values: Float32Array, width: number, row: number) => values.subarray(row * width, (row + 1) * width)

const formats: Record<string, WriteVectors> = {
  /** @source NumPy Enhancement Proposal 1, format version 1.0 */
  '.npy': async (path, _texts, vectors) => {
    const fields = `{'descr': '<f4', 'fortran_order': False, 'shape': (${vectors.shape.join(', ')}), }`
    // Magic, version and length take 10 bytes; all of it is a multiple of 64 and ends with a line.
    const length = Math.ceil((10 + fields.length + 1) / 64) * 64 - 10
    const header = Buffer.alloc(10 + length, ' ')
    header.write('\u0093NUMPY\u0001\u0000', 'latin1')
    header.writeUInt16LE(length, 8)
    header.write(fields, 10, 'latin1')
    header.write('\n', 10 + length - 1, 'latin1')
    await writeFileAtomic(path, Buffer.concat([header, bytesOf(vectors.toFloat32Array())]))
  },
  '.safetensors': async (path, _texts, vectors) => {
    const header = makeHeader(new Map([['embeddings', vectors]]))
    await writeFileAtomic(path, Buffer.concat([header, bytesOf(vectors.toFloat32Array())]))
  },
  '.parquet': async (path, texts, vectors) => {
    const values = vectors.toFloat32Array()
    const width = vectors.shape[1]
    const buffer = parquetWriteBuffer({
      schema: [
        { name: 'root', num_children: 2 },
        { name: 'text', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
        { name: 'embedding', repetition_type: 'REQUIRED', converted_type: 'LIST', num_children: 1 },
        { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
        { name: 'element', type: 'FLOAT', repetition_type: 'REQUIRED' },
      ],
      columnData: [
        { name: 'text', data: [...texts] },
        { name: 'embedding', data: texts.map((_, row) => Array.from(rowOf(values, width, row))) },
      ],
    })
    await writeFileAtomic(path, new Uint8Array(buffer))
  },
  '.jsonl': async (path, texts, vectors) => {
    const values = vectors.toFloat32Array()
    const width = vectors.shape[1]
    const lines = texts.map(
      (text, row) => `${JSON.stringify({ text, embedding: Array.from(rowOf(values, width, row)) })}\n`,
    )
    await writeFileAtomic(path, lines.join(''))
  },
}

export const vectorSuffixes = Object.keys(formats)

/** @throws ConfigError for an end of the name that is none of `vectorSuffixes` */
export const vectorFormat = (path: string): WriteVectors => {
  const suffix = vectorSuffixes.find((end) => path.endsWith(end))
  if (suffix === undefined)
    throw new ConfigError(`Expected a file that ends in ${vectorSuffixes.join(', ')} for \`--out\`, got ${path}.`)
  return formats[suffix]
}
