import { existsSync, readFileSync, truncateSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DataError, sha256 } from '../core/index.ts'
import { LineWriter, readLineBatches, readLines, splitLines } from './part-file.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunesmith-part-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const collect = async (path: string): Promise<string[]> => {
  const lines: string[] = []
  for await (const line of readLines(path)) lines.push(line)
  return lines
}

describe('LineWriter', () => {
  it('writes gzip that reads back, with the right count, size and hash', async () => {
    const path = join(folder, 'a.jsonl.gz')
    const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index} – ${'ü'.repeat(index % 90)}`)
    const writer = await LineWriter.create(path)
    for (const line of lines) await writer.write(line)
    expect(existsSync(path)).toBe(false)
    const written = await writer.close()
    const bytes = readFileSync(path)
    expect(written).toEqual({ lines: lines.length, bytes: bytes.length, sha256: sha256(bytes) })
    expect(gunzipSync(bytes).toString()).toBe(`${lines.join('\n')}\n`)
    expect(await collect(path)).toEqual(lines)
    expect(await readdir(folder)).toEqual(['a.jsonl.gz'])
  })

  it('gives equal bytes for equal lines', async () => {
    const hashes = []
    for (const name of ['a', 'b']) {
      const writer = await LineWriter.create(join(folder, name))
      for (let index = 0; index < 50_000; index++) await writer.write(`${index * 7919}`)
      hashes.push((await writer.close()).sha256)
    }
    expect(hashes[0]).toBe(hashes[1])
  })

  it('leaves nothing behind when aborted, and may be aborted after closing', async () => {
    const writer = await LineWriter.create(join(folder, 'a'))
    await writer.write('x'.repeat(1_000_000))
    await writer.abort()
    await writer.abort()
    expect(await readdir(folder)).toEqual([])
    const other = await LineWriter.create(join(folder, 'b'))
    await other.close()
    await other.abort()
    expect(await readdir(folder)).toEqual(['b'])
    expect(await collect(join(folder, 'b'))).toEqual([])
  })

  // /dev/full refuses every write with ENOSPC, as a full disk does.
  it.skipIf(!existsSync('/dev/full'))('reports a full disk (skipped where there is no /dev/full)', async () => {
    const { symlink } = await import('node:fs/promises')
    await symlink('/dev/full', join(folder, 'a.partial'))
    const writer = await LineWriter.create(join(folder, 'a'))
    const writing = async () => {
      for (let index = 0; index < 200; index++) await writer.write(Math.random().toString().repeat(20_000))
      await writer.close()
    }
    await expect(writing()).rejects.toMatchObject({ code: 'ENOSPC' })
    await writer.abort()
    expect(await readdir(folder)).toEqual([])
  })
})

describe('reading', () => {
  it('names the file when the gzip is cut off', async () => {
    const path = join(folder, 'a.gz')
    const writer = await LineWriter.create(path)
    for (let index = 0; index < 1000; index++) await writer.write(Math.random().toString())
    const { bytes } = await writer.close()
    truncateSync(path, bytes - 100)
    await expect(collect(path)).rejects.toThrow(DataError)
    await expect(collect(path)).rejects.toThrow(path)
  })

  it('names the file when it is missing', async () => {
    await expect(collect(join(folder, 'none.gz'))).rejects.toThrow('none.gz')
  })

  it('may be left early', async () => {
    const path = join(folder, 'a.gz')
    const writer = await LineWriter.create(path)
    for (let index = 0; index < 100_000; index++) await writer.write(`${index}`)
    await writer.close()
    for await (const batch of readLineBatches(path)) {
      expect(batch[0]).toBe('0')
      break
    }
  })

  it('splits lines across chunks, also inside a character, and needs no last line feed', async () => {
    const bytes = Buffer.from('één\n\ntwee\ndrie')
    for (let size = 1; size <= bytes.length; size++) {
      async function* chunks() {
        for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
      }
      const lines: string[] = []
      for await (const batch of splitLines(chunks())) lines.push(...batch)
      expect(lines).toEqual(['één', '', 'twee', 'drie'])
    }
  })
})
