// Files of vectors, read back by other readers than what wrote them.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { afterAll, describe, expect, it } from 'vitest'
import { openSafetensors } from '../checkpoint/index.ts'
import { Tensor } from '../tensor/index.ts'
import { vectorFormat } from './vector-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-vectors-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const numbers = [
  [1, 2, 3],
  [4, 5, 6.5],
  [-7, 0, 8],
]
const vectors = Tensor.from(numbers)
const one = { texts: ['a', 'b', 'ç'], vectors, rows: undefined }
const several = { texts: ['a', 'b'], vectors, rows: Int32Array.of(1, 2) }
const nested = [[numbers[0]], [numbers[1], numbers[2]]]

const write = async (name: string, all: typeof one | typeof several) => {
  const path = join(folder, name)
  await vectorFormat(path, { perToken: all.rows !== undefined })(path, all)
  return path
}

describe('files of vectors', () => {
  it('.npy', async () => {
    const bytes = readFileSync(await write('x.npy', one))
    const length = bytes.readUInt16LE(8)
    expect(bytes.subarray(0, 8).toString('latin1')).toBe('\u0093NUMPY\u0001\u0000')
    expect(bytes.subarray(10, 10 + length).toString()).toMatch(/'descr': '<f4'.*'shape': \(3, 3\)/)
    expect((10 + length) % 64).toBe(0)
    expect(bytes.readFloatLE(10 + length + 5 * 4)).toBe(6.5)
    expect(() => vectorFormat('x.npy', { perToken: true })).toThrow(/\.safetensors.*per token/)
    expect(() => vectorFormat('x.csv', { perToken: false })).toThrow(/\.npy/)
  })

  it('.safetensors', async () => {
    const plain = await openSafetensors(await write('x.safetensors', one))
    expect([...plain.tensors.keys()]).toEqual(['embeddings'])
    expect(plain.tensor('embeddings').toArray()).toEqual(numbers)
    const tokens = await openSafetensors(await write('tokens.safetensors', several))
    expect(tokens.tensor('starts').toArray()).toEqual([0, 1, 3])
    expect(tokens.tensor('embeddings').toArray()).toEqual(numbers)
  })

  it('.parquet', async () => {
    const rows = async (path: string) => parquetReadObjects({ file: await asyncBufferFromFile(path) })
    expect(await rows(await write('x.parquet', one))).toEqual(
      one.texts.map((text, i) => ({ text, embedding: numbers[i] })),
    )
    const tokens = await rows(await write('tokens.parquet', several))
    expect(tokens).toEqual(several.texts.map((text, i) => ({ text, embeddings: nested[i] })))
  })

  it('.jsonl', async () => {
    const rows = (path: string) =>
      readFileSync(path, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    expect(rows(await write('x.jsonl', one))).toEqual(one.texts.map((text, i) => ({ text, embedding: numbers[i] })))
    expect(rows(await write('tokens.jsonl', several))).toEqual(
      several.texts.map((text, i) => ({ text, embeddings: nested[i] })),
    )
  })
})
