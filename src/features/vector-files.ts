// Files of vectors, float32 [rows,width], in the format of the file's ending: a vector for each text, or for each of its tokens.
import { parquetWriteBuffer } from 'hyparquet-writer'
import { makeSafetensorsHeader } from '../checkpoint/index.ts'
import { ConfigError, writeFileAtomic } from '../core/index.ts'
import { Tensor } from '../tensor/index.ts'

/** Vectors to write. */
export interface VectorsOfTexts {
  texts: readonly string[]
  /** float32 [rows,C] */
  vectors: Tensor
  /** Number of rows of each text; undefined where each has one. */
  rows: Int32Array | undefined
}

type WriteVectors = (path: string, vectors: VectorsOfTexts) => Promise<void>

const bytesOf = (values: Float32Array | BigInt64Array) =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

/** First row of each text, then the number of all rows. */
const startsOf = (rows: Int32Array): number[] => {
  const starts = [0]
  for (const count of rows) starts.push(starts[starts.length - 1] + count)
  return starts
}

const listsOf = ({ texts, vectors, rows }: VectorsOfTexts): (number[] | number[][])[] => {
  const values = vectors.toFloat32Array()
  const width = vectors.shape[1]
  const row = (at: number) => Array.from(values.subarray(at * width, (at + 1) * width))
  if (rows === undefined) return texts.map((_, i) => row(i))
  const starts = startsOf(rows)
  return texts.map((_, i) => Array.from({ length: rows[i] }, (_, k) => row(starts[i] + k)))
}

const list = (name: string, repeated: number) => [
  { name, repetition_type: 'REQUIRED', converted_type: 'LIST', num_children: 1 },
  { name: 'list', repetition_type: 'REPEATED', num_children: repeated },
]

interface VectorFormat {
  write: WriteVectors
  /** Whether the format can assign several vectors to a text. */
  perToken: boolean
}

const formats: Record<string, VectorFormat> = {
  /** @source NumPy Enhancement Proposal 1, format version 1.0 */
  '.npy': {
    perToken: false,
    async write(path, { vectors }) {
      const fields = `{'descr': '<f4', 'fortran_order': False, 'shape': (${vectors.shape.join(', ')}), }`
      // Magic, version and length take 10 bytes; the whole header is padded to a multiple of 64 and ends with a line feed.
      const length = Math.ceil((10 + fields.length + 1) / 64) * 64 - 10
      const header = Buffer.alloc(10 + length, ' ')
      header.write('\u0093NUMPY\u0001\u0000', 'latin1')
      header.writeUInt16LE(length, 8)
      header.write(fields, 10, 'latin1')
      header.write('\n', 10 + length - 1, 'latin1')
      await writeFileAtomic(path, Buffer.concat([header, bytesOf(vectors.toFloat32Array())]))
    },
  },
  '.safetensors': {
    perToken: true,
    async write(path, { vectors, rows }) {
      const tensors = new Map([['embeddings', vectors]])
      const parts = [bytesOf(vectors.toFloat32Array())]
      if (rows !== undefined) {
        const starts = BigInt64Array.from(startsOf(rows), BigInt)
        // int64 before float32, so that both are aligned.
        tensors.clear()
        tensors.set('starts', Tensor.from(starts)).set('embeddings', vectors)
        parts.unshift(bytesOf(starts))
      }
      await writeFileAtomic(path, Buffer.concat([makeSafetensorsHeader(tensors), ...parts]))
    },
  },
  '.parquet': {
    perToken: true,
    async write(path, all) {
      const text = { name: 'text', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' }
      const value = { name: 'element', type: 'FLOAT', repetition_type: 'REQUIRED' }
      const name = all.rows === undefined ? 'embedding' : 'embeddings'
      const lists = all.rows === undefined ? list(name, 1) : [...list(name, 1), ...list('element', 1)]
      const buffer = parquetWriteBuffer({
        schema: [{ name: 'root', num_children: 2 }, text, ...lists, value] as Parameters<
          typeof parquetWriteBuffer
        >[0]['schema'],
        columnData: [
          { name: 'text', data: [...all.texts] },
          { name, data: listsOf(all) },
        ],
      })
      await writeFileAtomic(path, new Uint8Array(buffer))
    },
  },
  '.jsonl': {
    perToken: true,
    async write(path, all) {
      const name = all.rows === undefined ? 'embedding' : 'embeddings'
      const lines = listsOf(all).map((own, i) => `${JSON.stringify({ text: all.texts[i], [name]: own })}\n`)
      await writeFileAtomic(path, lines.join(''))
    },
  },
}

/** File endings that `vectorFormat` knows. */
export const vectorSuffixes = Object.keys(formats)

/** The writer for a file's ending. @throws ConfigError for an unknown ending, or one without vectors per token */
export const vectorFormat = (path: string, { perToken }: { perToken: boolean }): WriteVectors => {
  const able = vectorSuffixes.filter((end) => formats[end].perToken || !perToken)
  const suffix = able.find((end) => path.endsWith(end))
  if (suffix !== undefined) return formats[suffix].write
  throw new ConfigError(
    `Expected a file that ends in ${able.join(', ')} for \`--out\`${perToken ? ' with vectors per token' : ''}, got ${path}.`,
  )
}
