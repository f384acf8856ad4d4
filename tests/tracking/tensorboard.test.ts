// Event files against what TensorBoard itself read from the same bytes (golden/tensorboard.json, made by make-golden.py), and
// against a decoder of TFRecord and protobuf that shares nothing with the writer.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { openTensorBoard } from '../../src/tracking/index.ts'
import { writeExample } from './tensorboard-example.ts'

interface Golden {
  files: string[]
  scalars: Record<string, [step: number, wallTime: number, value: number | 'NaN'][]>
  texts: Record<string, [step: number, wallTime: number, text: string][]>
}

const golden = JSON.parse(readFileSync(new URL('golden/tensorboard.json', import.meta.url), 'utf8')) as Golden
const folder = mkdtempSync(join(tmpdir(), 'tunesmith-tensorboard-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** CRC-32C bit by bit, without a table. */
function crc32c(data: Uint8Array): number {
  let crc = 0xffffffffn
  for (const byte of data) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0x82f63b78n : crc >> 1n
  }
  return Number(crc ^ 0xffffffffn)
}

const unmask = (masked: number) => {
  const rotated = (masked - 0xa282ead8) >>> 0
  return ((rotated >>> 17) | (rotated << 15)) >>> 0
}

/** The data of each record; throws where a checksum is wrong or bytes are left over. */
function recordsOf(file: Buffer): Buffer[] {
  const records: Buffer[] = []
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at))
    const data = file.subarray(at + 12, at + 12 + length)
    if (unmask(file.readUInt32LE(at + 8)) !== crc32c(file.subarray(at, at + 8))) throw new Error('length checksum')
    if (unmask(file.readUInt32LE(at + 12 + length)) !== crc32c(data)) throw new Error('data checksum')
    records.push(data)
    at += length + 16
  }
  return records
}

type Fields = Map<number, (bigint | Buffer)[]>

function fieldsOf(data: Buffer): Fields {
  const fields: Fields = new Map()
  let at = 0
  const varint = () => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = data[at++]
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return value
    }
  }
  const take = (length: number) => data.subarray(at, (at += length))
  while (at < data.length) {
    const key = Number(varint())
    const read = { 0: varint, 1: () => take(8), 2: () => take(Number(varint())), 5: () => take(4) }[key & 7]
    fields.set(key >> 3, [...(fields.get(key >> 3) ?? []), read!()])
  }
  return fields
}

const only = (fields: Fields, field: number) => fields.get(field)![0] as Buffer

describe('event files', () => {
  test('have the bytes that TensorBoard read', () => {
    const files = writeExample(join(folder, 'golden')).map((path) => readFileSync(path).toString('hex'))
    expect(files).toEqual(golden.files)
  })

  test('hold, for TensorBoard, the steps of the undisturbed run', () => {
    const losses = golden.scalars['train/loss']
    expect(losses.map(([step]) => step)).toEqual([1, 2, 3, 4, 5, 6, 7])
    for (const [step, , value] of losses) expect(value).toBeCloseTo(8 / step, 6)
    expect(golden.scalars['train/masked'].map(([, , value]) => value)[1]).toBe(3)
    expect(golden.scalars['train/gradientNorm'][2]).toEqual([3, 1_700_000_003.25, 'NaN'])
    expect(golden.scalars['train/tokens'].at(-1)![2]).toBeCloseTo(35e9, -4)
    expect(golden.scalars['evaluation/loss']).toEqual([[7, 1_700_000_108, 1.5]])
    expect(golden.texts.sample[0][2]).toContain('Und <b>schläft</b> 🐻.')
    expect(golden.texts.note[0][0]).toBe(2 ** 40)
    expect(golden.texts.incident[0][2]).toBe(`**spike** a long one: ${'x'.repeat(300)}`)
  })

  test('are framed and encoded as their formats say', () => {
    const board = openTensorBoard(join(folder, 'decoded'), { purgeStep: 300, now: () => 12.5 })
    board.scalar('a/b', 0.1, 300)
    board.text('t', 'ä', 301, 99)
    board.close()
    board.close()
    const [version, session, scalar, text] = recordsOf(readFileSync(board.path)).map(fieldsOf)
    expect(only(version, 1).readDoubleLE()).toBe(12.5)
    expect(only(version, 3).toString()).toBe('brain.Event:2')
    expect([session.get(2), fieldsOf(only(session, 7)).get(1)]).toEqual([[300n], [1n]])
    const value = fieldsOf(only(fieldsOf(only(scalar, 5)), 1))
    expect([scalar.get(2), only(value, 1).toString()]).toEqual([[300n], 'a/b'])
    expect(only(value, 2).readFloatLE()).toBe(Math.fround(0.1))
    expect(only(text, 1).readDoubleLE()).toBe(99)
    const texts = fieldsOf(only(fieldsOf(only(text, 5)), 1))
    expect(only(fieldsOf(only(texts, 8)), 8).toString()).toBe('ä')
    expect(only(fieldsOf(only(fieldsOf(only(texts, 9)), 1)), 1).toString()).toBe('text')
    expect(() => board.scalar('a', 1, 1)).toThrow('was closed')
  })

  test('sort behind each other even within one second', () => {
    const paths = [1, 2, 3].map(() => {
      const board = openTensorBoard(join(folder, 'order'), { now: () => 1000 })
      board.close()
      return basename(board.path)
    })
    expect([...paths].sort()).toEqual(paths)
    expect(new Set(paths).size).toBe(3)
  })

  test('lie on disk after a flush, before the end', () => {
    const board = openTensorBoard(join(folder, 'flush'), { now: () => 1000 })
    const size = () => readFileSync(board.path).length
    const before = size()
    board.scalar('a', 1, 1)
    expect(size()).toBe(before)
    board.flush({ sync: true })
    expect(recordsOf(readFileSync(board.path))).toHaveLength(3)
    board.close()
  })
})
