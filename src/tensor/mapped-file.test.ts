import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { DataError } from '../core/index.ts'
import { mapFile, writeTensorFile, zeros } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-map-'))
afterAll(() => rmSync(folder, { recursive: true }))
const write = (name: string, bytes: Uint8Array) => {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return path
}
const path = write('values', new Uint8Array(Float32Array.of(1, 2, 3, 4, 5).buffer))

describe('mapFile', () => {
  it('reads tensors at offsets', () => {
    const file = mapFile(path)
    expect(file.bytes).toBe(20)
    expect(file.tensor(0, [5], 'float32').toArray()).toEqual([1, 2, 3, 4, 5])
    expect(file.tensor(4, [2, 2], 'float32').toArray()).toEqual([
      [2, 3],
      [4, 5],
    ])
    expect(file.tensor(20, [0], 'float32').shape).toEqual([0])
  })

  it('reads at offsets that are no multiple of the element', () => {
    const bytes = new Uint8Array(9)
    bytes.set(new Uint8Array(Float64Array.of(-2.5).buffer), 1)
    expect(mapFile(write('odd', bytes)).tensor(1, [1], 'float64').item()).toBe(-2.5)
  })

  it('does not write to the file', () => {
    const tensor = mapFile(path).tensor(0, [5], 'float32')
    tensor.fill_(9)
    expect(tensor.toArray()).toEqual([9, 9, 9, 9, 9])
    expect([...new Float32Array(new Uint8Array(readFileSync(path)).buffer)]).toEqual([1, 2, 3, 4, 5])
    expect(mapFile(path).tensor(0, [1], 'float32').item()).toBe(1)
  })

  it('maps an empty file, which holds only empty tensors', () => {
    const file = mapFile(write('empty', new Uint8Array(0)))
    expect(file.bytes).toBe(0)
    expect(file.tensor(0, [0, 4], 'int64').shape).toEqual([0, 4])
    expect(() => file.tensor(0, [1], 'uint8')).toThrow(/beyond the end/)
  })

  it.each<[string, number, number[]]>([
    ['past the end', 4, [5]],
    ['from past the end', 24, [1]],
    ['before the start', -4, [1]],
    ['of a negative size', 0, [-1]],
    ['too large to count', 0, [2 ** 40, 2 ** 40]],
    ['at an overflowing offset', Number.MAX_SAFE_INTEGER, [1]],
  ])('refuses a tensor %s', (_, offset, shape) => {
    expect(() => mapFile(path).tensor(offset, shape, 'float32')).toThrow(/^[^\n]+$/)
  })

  it('refuses a fractional offset and an unknown dtype', () => {
    expect(() => mapFile(path).tensor(0.5, [1], 'uint8')).toThrow(/integer/)
    expect(() => mapFile(path).tensor(0, [1], 'float3' as never)).toThrow(
      /Expected one of float32, .* for `dtype`, got "float3"\. Did you mean `float32`/,
    )
  })

  it('refuses a missing file and a folder in one line', () => {
    expect(() => mapFile(join(folder, 'missing'))).toThrow(/missing.*No such file/)
    expect(() => mapFile(folder)).toThrow(/^[^\n]+$/)
  })

  it.skipIf(!existsSync('/proc/self/maps'))(
    'lets the pages of a released file go with its last tensor (skipped without /proc)',
    () => {
      const path = write('released', new Uint8Array(8).fill(1))
      const mapped = () => readFileSync('/proc/self/maps', 'utf8').includes(path)
      const file = mapFile(path)
      const tensor = file.tensor(0, [8], 'uint8')
      file.release()
      expect(mapped()).toBe(true)
      expect(tensor.sum().item()).toBe(8)
      expect(() => file.tensor(0, [8], 'uint8')).toThrow(/got one that was released/)
      tensor.free()
      expect(mapped()).toBe(false)
    },
  )

  it('turns a read beyond the end of a truncated file into an error, each time, and keeps the rest', () => {
    const page = 4096
    const path = write('truncated', new Uint8Array(8 * page).fill(1))
    const file = mapFile(path)
    const [whole, first, last] = [
      file.tensor(0, [8 * page], 'uint8'),
      file.tensor(0, [page], 'uint8'),
      file.tensor(4 * page, [page], 'float32'),
    ]
    expect(whole.sum().item()).toBe(8 * page)
    truncateSync(path, 2 * page)
    for (const read of [() => whole.sum(), () => last.sum(), () => last.toFloat32Array(), () => whole.sum()]) {
      expect(read).toThrow(DataError)
      expect(read).toThrow(/the mapped file .*truncated was truncated while it is in use\. Do not change files/)
    }
    expect(first.sum().item()).toBe(page)
    expect(zeros([3]).add(1).sum().item()).toBe(3)
  })

  it('names a truncated file when its tensors are written to another file', async () => {
    const path = write('source', new Uint8Array(1 << 20).fill(1))
    const tensor = mapFile(path).tensor(0, [1 << 20], 'uint8')
    truncateSync(path, 4096)
    await expect(writeTensorFile(join(folder, 'target'), new Uint8Array(8), [tensor])).rejects.toThrow(/was truncated/)
  })

  it('keeps the mapping alive as long as a tensor uses it', () => {
    const tensors = Array.from({ length: 50 }, () => mapFile(path).tensor(0, [5], 'float32'))
    const kept = tensors[49]
    for (const tensor of tensors.slice(0, 49)) tensor.free()
    expect(kept.sum().item()).toBe(15)
  })
})
