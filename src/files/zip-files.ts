// The files of a zip archive in memory, stored or deflated; the size of each is checked before it is unpacked.
// @source PKWARE APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16
import { inflateRawSync } from 'node:zlib'
import { DataError } from '../core/index.ts'
import { checkedEntryName } from './entry-name.ts'

const endSignature = 0x06054b50
const entrySignature = 0x02014b50
/** The first four bytes of an archive with at least one file. */
export const zipSignature = 0x04034b50
const endBytes = 22
const maxBytes = 2 ** 28
const maxCommentBytes = 2 ** 16

/**
 * The files of a zip archive in the order of its directory, without its folders.
 * @throws DataError for an archive that is damaged or encrypted, a file of more than 256 MiB, or a path out of the
 * archive
 */
export function* zipFiles(archive: Buffer, path: string): Generator<{ name: string; data: Buffer }, void, undefined> {
  const damaged = (what: string) => new DataError(`Expected a zip archive, got one ${what}. It is damaged.`, path)
  let end = archive.length - endBytes
  const lowest = Math.max(0, end - maxCommentBytes)
  while (end >= lowest && archive.readUInt32LE(end) !== endSignature) end--
  if (end < lowest) throw damaged('without a directory')
  const count = archive.readUInt16LE(end + 10)
  let at = archive.readUInt32LE(end + 16)
  for (let i = 0; i < count; i++) {
    if (at + 46 > archive.length || archive.readUInt32LE(at) !== entrySignature)
      throw damaged(`whose entry ${i} is incomplete`)
    const flags = archive.readUInt16LE(at + 8)
    const method = archive.readUInt16LE(at + 10)
    const packed = archive.readUInt32LE(at + 20)
    const size = archive.readUInt32LE(at + 24)
    const nameLength = archive.readUInt16LE(at + 28)
    const local = archive.readUInt32LE(at + 42)
    const name = archive.toString('utf8', at + 46, at + 46 + nameLength)
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32)
    if (name.endsWith('/')) continue
    checkedEntryName(name, path)
    if (size > maxBytes)
      throw new DataError(`Expected files of at most ${maxBytes} bytes, got ${name} of ${size}.`, path)
    if ((flags & 1) === 1)
      throw new DataError(`Expected files without a password, got ${name}. Pack it again without one.`, path)
    if (local + 30 > archive.length || archive.readUInt32LE(local) !== zipSignature) throw damaged(`without ${name}`)
    const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28)
    const bytes = archive.subarray(start, start + packed)
    if (bytes.length < packed) throw damaged(`whose ${name} is incomplete`)
    if (method !== 0 && method !== 8)
      throw new DataError(`Expected stored or deflated files, got ${name} by method ${method}. Pack it again.`, path)
    let data = bytes
    try {
      if (method === 8) data = inflateRawSync(bytes, { maxOutputLength: Math.max(1, size) })
    } catch {
      throw damaged(`whose ${name} cannot be unpacked`)
    }
    if (data.length !== size) throw damaged(`whose ${name} has another length than in its directory`)
    yield { name, data }
  }
}
