import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync, crc32 as zlibCrc32 } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadScript } from './load-script.ts'

type Zip = {
  unzip(archive: string, target: string, accept: (name: string) => string | undefined): Promise<string[]>
  listZip(archive: string): Promise<string[]>
}
const { unzip, listZip } = await loadScript<Zip>('zip.mjs')

interface Entry {
  name: string
  data: Buffer
  stored?: boolean
  /** Wrong values for the archive's directory. */
  claimedSize?: number
  claimedCrc?: number
}

/** A zip archive by the format's description (PKWARE APPNOTE 4.3), the central directory's sizes authoritative. */
function makeZip(entries: Entry[]): Buffer {
  const locals: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const { name, data, stored, claimedSize, claimedCrc } of entries) {
    const packed = stored ? data : deflateRawSync(data)
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(stored ? 0 : 8, 8)
    local.writeUInt16LE(Buffer.byteLength(name), 26)
    locals.push(local, Buffer.from(name), packed)
    const central = Buffer.alloc(46)
    central.writeUInt32LE(0x02014b50, 0)
    central.writeUInt16LE(stored ? 0 : 8, 10)
    central.writeUInt32LE(claimedCrc ?? zlibCrc32(data), 16)
    central.writeUInt32LE(packed.length, 20)
    central.writeUInt32LE(claimedSize ?? data.length, 24)
    central.writeUInt16LE(Buffer.byteLength(name), 28)
    central.writeUInt32LE(offset, 42)
    directory.push(central, Buffer.from(name))
    offset += 30 + Buffer.byteLength(name) + packed.length
  }
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(Buffer.concat(directory).length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...locals, ...directory, end])
}

let folder = ''
let count = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunesmith-zip-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function unpack(bytes: Buffer, accept = (name: string): string | undefined => name) {
  const archive = join(folder, `${count++}.zip`)
  await writeFile(archive, bytes)
  const target = `${archive}-out`
  return { target, names: await unzip(archive, target, accept), listed: await listZip(archive) }
}

describe('unzip', () => {
  it('unpacks stored and compressed entries, and only the accepted ones', async () => {
    const file = fc.record({ data: fc.uint8Array({ maxLength: 5000 }), stored: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.array(file, { maxLength: 6 }), async (files) => {
        const entries = files.map(({ data, stored }, i) => ({ name: `a/${i}.bin`, data: Buffer.from(data), stored }))
        const { target, names, listed } = await unpack(
          makeZip([{ name: 'a/', data: Buffer.alloc(0), stored: true }, ...entries]),
        )
        expect(names).toEqual(entries.map(({ name }) => name))
        expect(listed).toEqual(['a/', ...names])
        for (const { name, data } of entries) expect(await readFile(join(target, name))).toEqual(data)
      }),
      { numRuns: 25 },
    )
    const two = makeZip([
      { name: 'x/keep', data: Buffer.from('1') },
      { name: 'x/drop', data: Buffer.from('2') },
    ])
    const { target } = await unpack(two, (name) => (name.endsWith('keep') ? 'kept' : undefined))
    expect(await readdir(target)).toEqual(['kept'])
  })

  it('refuses a damaged archive, wherever the damage is', async () => {
    const good = makeZip([{ name: 'a', data: Buffer.from('hello '.repeat(100)) }])
    const flipped = Buffer.from(good)
    flipped[40] ^= 0xff
    const cases = [
      flipped,
      good.subarray(0, good.length - 30),
      good.subarray(50),
      Buffer.alloc(0),
      Buffer.from('not a zip at all'),
      makeZip([{ name: 'a', data: Buffer.from('abc'), claimedCrc: 1 }]),
      makeZip([{ name: 'a', data: Buffer.from('abc'), claimedSize: 4 }]),
      // A zip bomb: unpacks to a megabyte where the directory says ten bytes.
      makeZip([{ name: 'a', data: Buffer.alloc(2 ** 20), claimedSize: 10 }]),
    ]
    for (const bytes of cases) await expect(unpack(bytes)).rejects.toThrow('damaged or truncated')
  })

  it('does not write outside its folder', async () => {
    for (const name of ['../evil', 'a/../../evil', '/etc/evil', 'a\\..\\evil']) {
      await expect(unpack(makeZip([{ name, data: Buffer.from('x') }]))).rejects.toThrow('unsafe path')
    }
  })
})
