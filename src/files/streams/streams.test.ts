import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { DataError } from '../../core/index.ts'
import { ByteReader, type ByteStream, decompressed, detectCompression, openBytes, splitLines } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'streams-'))
afterAll(() => rmSync(folder, { recursive: true }))

const text = Buffer.from(
  Array.from({ length: 60_000 }, (_, index) => `line ${index} ${(index * 7919) % 10_007}\n`).join(''),
)
const halves = [text.subarray(0, 500_000), text.subarray(500_000)]

const installed = (tool: string): boolean => spawnSync(tool, ['--version'], { input: '' }).error === undefined
const pack = (tool: string, bytes: Buffer) => execFileSync(tool, ['-c', '-q'], { input: bytes, maxBuffer: 1 << 28 })

async function* chunked(bytes: Buffer, size: number): ByteStream {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const collect = async (stream: ByteStream): Promise<{ bytes: Buffer; error?: unknown }> => {
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of stream) chunks.push(Uint8Array.from(chunk))
  } catch (error) {
    return { bytes: Buffer.concat(chunks), error }
  }
  return { bytes: Buffer.concat(chunks) }
}

const formats: [string, (bytes: Buffer) => Buffer][] = [
  ['gzip', (bytes) => gzipSync(bytes)],
  ...(installed('bzip2')
    ? [['bzip2', (bytes: Buffer) => pack('bzip2', bytes)] as [string, (bytes: Buffer) => Buffer]]
    : []),
  ...(installed('zstd')
    ? [['zstd', (bytes: Buffer) => pack('zstd', bytes)] as [string, (bytes: Buffer) => Buffer]]
    : []),
]

describe.each(formats)('%s', (name, compress) => {
  const members = Buffer.concat(halves.map(compress))
  it.each([true, false])('reads several members one after another (system tools %s)', async (systemTools) => {
    expect(detectCompression(members)).toBe(name)
    const { bytes, error } = await collect(decompressed(chunked(members, 70_001), { path: 'p', systemTools }))
    expect(error).toBeUndefined()
    expect(bytes.equals(text)).toBe(true)
  })

  it.each([true, false])(
    'gives what came before a truncation, then a DataError (system tools %s)',
    async (systemTools) => {
      const cut = members.subarray(0, members.length - 1000)
      const { bytes, error } = await collect(decompressed(chunked(cut, 65_536), { path: 'dump.x', systemTools }))
      expect(error).toBeInstanceOf(DataError)
      expect((error as Error).message).toMatch(new RegExp(`^dump\\.x: Expected an intact ${name} stream`))
      // The first member is whole; bzip2 and zstd give whole blocks only.
      expect(bytes.length).toBeGreaterThanOrEqual(halves[0].length)
      expect(text.subarray(0, bytes.length).equals(bytes)).toBe(true)
    },
  )

  it.each([true, false])('reports damage inside (system tools %s)', async (systemTools) => {
    const bad = Buffer.from(members)
    const at = compress(halves[0]).length + 2000
    for (let index = 0; index < 40; index++) bad[at + index] ^= 0x5a
    const { bytes, error } = await collect(decompressed(chunked(bad, 65_536), { path: 'p', systemTools }))
    expect(error).toBeInstanceOf(DataError)
    // Of gzip, the output of the last 16 kB of input may be missing; its and zstd's check comes after the damaged
    // bytes.
    const sure = halves[0].length - (name === 'gzip' ? 100_000 : 0)
    expect(bytes.subarray(0, sure).equals(halves[0].subarray(0, sure))).toBe(true)
  })

  it('is read from a file, and can be left early', async () => {
    const path = join(folder, `early-${name}`)
    writeFileSync(path, members)
    for await (const chunk of openBytes({ path })) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    expect((await collect(openBytes({ path }))).bytes.equals(text)).toBe(true)
  })
})

it('warns when bzip2 or zstd is not installed for comparison', () => {
  if (formats.length < 3) console.warn('bzip2 or zstd is not installed: their tests did not run')
  expect(formats.length).toBeGreaterThanOrEqual(1)
})

describe('openBytes', () => {
  it('passes plain bytes through, even ones that begin like BZh', async () => {
    const path = join(folder, 'plain')
    writeFileSync(path, 'BZh9 is no bzip2')
    expect((await collect(openBytes({ path }))).bytes.toString()).toBe('BZh9 is no bzip2')
    writeFileSync(path, '')
    expect((await collect(openBytes({ path }))).bytes).toHaveLength(0)
  })
  it('throws DataError for a missing file and a folder', async () => {
    expect((await collect(openBytes({ path: join(folder, 'none') }))).error).toBeInstanceOf(DataError)
    expect((await collect(openBytes({ path: folder }))).error).toBeInstanceOf(DataError)
  })
  it('stops when aborted', async () => {
    const path = join(folder, 'abort')
    writeFileSync(path, gzipSync(text))
    const controller = new AbortController()
    controller.abort(new Error('stop'))
    expect((await collect(openBytes({ path, signal: controller.signal }))).error).toMatchObject({ message: 'stop' })
  })
})

const linesOf = async (bytes: Buffer, size: number, max = 1000) => {
  const lines: { text: string | undefined; offset: number; number: number; length: number }[] = []
  for await (const line of splitLines(chunked(bytes, size), max)) {
    lines.push({ ...line, text: line.bytes?.toString('latin1') } as never)
    delete (lines.at(-1) as { bytes?: Buffer }).bytes
  }
  return lines
}

describe('splitLines', () => {
  it('gives the lines, offsets and numbers of a plain split for any chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('a', 'bc', '\n', '\r\n', '\r', ''), { maxLength: 60 }),
        fc.integer({ min: 1, max: 7 }),
        async (parts, size) => {
          const bytes = Buffer.from(parts.join(''))
          const expected: unknown[] = []
          let offset = 0
          const pieces = bytes.toString('latin1').split('\n')
          if (pieces.at(-1) === '') pieces.pop()
          pieces.forEach((piece, index) => {
            expected.push({ text: piece.replace(/\r$/, ''), offset, number: index + 1, length: piece.length })
            offset += piece.length + 1
          })
          expect(await linesOf(bytes, size)).toEqual(expected)
        },
      ),
    )
  })
  it('skips a line that is too long and continues', async () => {
    const lines = await linesOf(Buffer.from(`a\n${'x'.repeat(5000)}\nb\n${'y'.repeat(1001)}`), 333)
    expect(lines.map((line) => [line.text, line.length])).toEqual([
      ['a', 1],
      [undefined, 5000],
      ['b', 1],
      [undefined, 1001],
    ])
  })
  it('reads past a line of 1 GB in bounded memory', async () => {
    const member = gzipSync(Buffer.alloc(1 << 24, 'a'))
    async function* input(): ByteStream {
      for (let index = 0; index < 64; index++) yield member
      yield gzipSync('\nafter\n')
    }
    const before = process.memoryUsage().rss
    let peak = 0
    const found: [string | undefined, number][] = []
    const timer = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss)
    }, 20)
    for await (const line of splitLines(decompressed(input(), { path: 'p' }), 1 << 20))
      found.push([line.bytes?.toString(), line.length])
    clearInterval(timer)
    expect(found).toEqual([
      [undefined, 2 ** 30],
      ['after', 5],
    ])
    expect(peak - before).toBeLessThan(300e6)
  })
})

describe('ByteReader', () => {
  it('finds, takes and skips across chunks, and keeps offsets', async () => {
    const reader = new ByteReader(chunked(Buffer.from('abc<x>def</x>ghi<x>jkl</x>'), 2))
    expect(await reader.find(Buffer.from('</x>'), 100)).toBe(9)
    expect(reader.take(13).toString()).toBe('abc<x>def</x>')
    expect(reader.offset).toBe(13)
    expect(await reader.skipPast(Buffer.from('<x>'))).toBe(true)
    expect(reader.offset).toBe(19)
    expect(await reader.ensure(3)).toBe(true)
    expect(reader.take(3).toString()).toBe('jkl')
    expect(await reader.find(Buffer.from('zzz'), 100)).toBe(-1)
    expect(reader.ended).toBe(true)
  })
  it('gives up a search at its limit and keeps the bytes', async () => {
    const reader = new ByteReader(chunked(Buffer.from(`${'a'.repeat(10_000)}!`), 100))
    expect(await reader.find(Buffer.from('!'), 500)).toBe(-1)
    expect(reader.ended).toBe(false)
    expect(await reader.find(Buffer.from('!'), 20_000)).toBe(10_000)
  })
  it('keeps an error until the buffered bytes are used', async () => {
    async function* broken(): ByteStream {
      yield Buffer.from('good')
      throw new Error('bad')
    }
    const reader = new ByteReader(broken())
    expect(await reader.ensure(10)).toBe(false)
    expect(reader.take(4).toString()).toBe('good')
    expect(() => reader.throwIfFailed()).toThrow('bad')
  })
})
