// Zip and tar archives as the system's tools write them, and hostile names in them.
import { describe, expect, it } from 'vitest'
import { DataError } from '../core/index.ts'
import { tarFiles } from './tar-files.ts'
import { zipFiles } from './zip-files.ts'

/** A tar archive by the layout of POSIX.1-2001: a header of 512 bytes before each file, padded to blocks. */
const tarOf = (files: Record<string, string>): Buffer => {
  const blocks = Object.entries(files).flatMap(([name, content]) => {
    const header = Buffer.alloc(512)
    header.write(name, 0)
    header.write('0000644\0', 100)
    header.write(`${Buffer.byteLength(content).toString(8).padStart(11, '0')}\0`, 124)
    header.write('        0ustar\x0000', 148)
    const checksum = header.reduce((sum, byte) => sum + byte, 0)
    header.write(`${checksum.toString(8).padStart(6, '0')}\0 `, 148)
    const data = Buffer.alloc(Math.ceil(Buffer.byteLength(content) / 512) * 512)
    data.write(content)
    return [header, data]
  })
  return Buffer.concat([...blocks, Buffer.alloc(1024)])
}

/** A zip archive of stored files: local entries, then the directory (APPNOTE 4.3.7, 4.3.12, 4.3.16). */
const zipOf = (files: Record<string, string>): Buffer => {
  const local: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const [name, content] of Object.entries(files)) {
    const [path, data] = [Buffer.from(name), Buffer.from(content)]
    const head = Buffer.alloc(30)
    head.writeUInt32LE(0x04034b50, 0)
    head.writeUInt32LE(data.length, 18)
    head.writeUInt32LE(data.length, 22)
    head.writeUInt16LE(path.length, 26)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt32LE(data.length, 20)
    entry.writeUInt32LE(data.length, 24)
    entry.writeUInt16LE(path.length, 28)
    entry.writeUInt32LE(offset, 42)
    local.push(head, path, data)
    directory.push(entry, path)
    offset += head.length + path.length + data.length
  }
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(directory.length / 2, 10)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...local, ...directory, end])
}

describe.each([
  ['tar', tarOf, tarFiles],
  ['zip', zipOf, zipFiles],
] as const)('%s archives', (_, pack, unpack) => {
  it('give their files by name', () => {
    const files = [...unpack(pack({ './pos/1.txt': 'good', 'neg/2.txt': 'bad' }), 'a')]
    expect(files.map(({ name, data }) => [name, data.toString()])).toEqual([
      ['./pos/1.txt', 'good'],
      ['neg/2.txt', 'bad'],
    ])
  })

  it.each(['../../ux/1.txt', 'pos/../../ux/1.txt', '/ux/1.txt', 'C:\\ux\\1.txt', '..\\ux\\1.txt'])(
    'refuse the entry %s, which leaves the archive',
    (name) => {
      expect(() => [...unpack(pack({ 'pos/1.txt': 'good', [name]: 'x' }), 'a.pack')]).toThrow(DataError)
      expect(() => [...unpack(pack({ [name]: 'x' }), 'a.pack')]).toThrow(/^a\.pack: .*paths inside the archive/)
    },
  )

  it('accept names with two dots that are no parent folder', () => {
    expect([...unpack(pack({ 'a..b/c...txt': 'x' }), 'a')].map(({ name }) => name)).toEqual(['a..b/c...txt'])
  })
})
