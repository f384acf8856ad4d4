// The files of a folder, a tar archive (also compressed) or a zip archive. Tar: ustar, with the long names of pax and of GNU tar. Zip: stored or
// deflated; the size of each file is checked before it is unpacked.
import { stat } from 'node:fs/promises'
import { relative } from 'node:path'
import { inflateRawSync } from 'node:zlib'
import { byCodeUnits, DataError } from '../core/index.ts'
import { expandFiles } from './paths.ts'
import { wholeFile } from './whole-file.ts'

/** A file of a folder or archive, in memory. */
export interface PackedFile {
  /** Path inside the folder or archive, with slashes. */
  name: string
  /** Path for error messages. */
  file: string
  data: Buffer
}

/**
 * The files with one of the extensions in a folder or archive, sorted by name.
 * @throws DataError for a path without such files, or a damaged archive
 */
export const packedFiles = async (
  path: string,
  extensions: readonly string[],
  signal?: AbortSignal,
): Promise<PackedFile[]> => {
  const wanted = ({ name }: { name: string }) => extensions.some((ending) => name.toLowerCase().endsWith(ending))
  const found: PackedFile[] = []
  const info = await stat(path).catch(() => undefined)
  if (info?.isDirectory()) {
    for (const file of await expandFiles(path, [...extensions])) {
      signal?.throwIfAborted()
      found.push({ name: relative(path, file).replaceAll('\\', '/'), file, data: await wholeFile(file, { signal }) })
    }
  } else {
    const archive = await wholeFile(path, { signal })
    const files = archive.length > 3 && archive.readUInt32LE(0) === zipSignature ? zipFiles : tarFiles
    for (const { name, data } of files(archive, path))
      if (wanted({ name })) found.push({ name, file: `${path}:${name}`, data })
  }
  if (found.length === 0)
    throw new DataError(`Expected files ending in ${extensions.join(' or ')}, got none. Check the path.`, path)
  return found.sort((a, b) => byCodeUnits(a.name, b.name))
}

/** The name of an archive's entry as it is. @throws DataError for an absolute path or one that leaves the archive */
const checkedEntryName = (name: string, archive: string): string => {
  const isAbsolute = /^(?:[\\/]|[A-Za-z]:[\\/])/.test(name)
  if (isAbsolute || name.split(/[\\/]/).includes('..'))
    throw new DataError(
      `Expected entries with paths inside the archive, got \`${name}\`. Pack the files again with relative paths.`,
      archive,
    )
  return name
}

const blockBytes = 512

/**
 * The regular files of a tar archive in its order.
 * @throws DataError for an archive that is damaged or incomplete, or a path out of the archive
 * @source POSIX.1-2001, pax; GNU tar manual, basic tar format
 */
export function* tarFiles(archive: Buffer, path: string): Generator<{ name: string; data: Buffer }, void, undefined> {
  let longName: string | undefined
  for (let at = 0; at + blockBytes <= archive.length; ) {
    const header = archive.subarray(at, at + blockBytes)
    if (header.every((byte) => byte === 0)) return
    const size = Number.parseInt(textOf(header, 124, 12), 8)
    const start = at + blockBytes
    if (
      checksumOf(header) !== Number.parseInt(textOf(header, 148, 8), 8) ||
      !(size >= 0) ||
      start + size > archive.length
    )
      throw new DataError(`Expected a tar header at byte ${at}, got something else. The archive is damaged.`, path)
    const data = archive.subarray(start, start + size)
    const type = textOf(header, 156, 1)
    if (type === 'L') longName = textOf(data, 0, size)
    else if (type === 'x') longName = paxPath(data) ?? longName
    else {
      const prefix = textOf(header, 257, 5) === 'ustar' && header[262] === 0 ? textOf(header, 345, 155) : ''
      const name = textOf(header, 0, 100)
      const entryName = longName ?? (prefix === '' ? name : `${prefix}/${name}`)
      if (type === '0' || type === '') yield { name: checkedEntryName(entryName, path), data }
      longName = undefined
    }
    at = start + Math.ceil(size / blockBytes) * blockBytes
  }
}

/** A field's text up to the first NUL, without spaces around it. */
const textOf = (bytes: Buffer, start: number, length: number): string => {
  const end = bytes.indexOf(0, start)
  return bytes.toString('utf8', start, end < 0 ? start + length : Math.min(end, start + length)).trim()
}

/** The sum of all bytes of a header, with spaces in place of the checksum itself. */
const checksumOf = (header: Buffer): number =>
  header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0)

/** Records are `length key=value\n`, where the length counts the whole record. */
const paxPath = (data: Buffer): string | undefined => {
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(32, at)
    const length = Number(data.toString('latin1', at, space))
    if (space < 0 || !(length > 0)) return undefined
    const record = data.toString('utf8', space + 1, at + length - 1)
    if (record.startsWith('path=')) return record.slice(5)
    at += length
  }
  return undefined
}

const endSignature = 0x06054b50
const entrySignature = 0x02014b50
/** The first four bytes of an archive with at least one file. */
const zipSignature = 0x04034b50
const endBytes = 22
const maxBytes = 2 ** 28
const maxCommentBytes = 2 ** 16

/**
 * The files of a zip archive in the order of its directory, without its folders.
 * @source PKWARE APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16
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
