// The regular files of a tar archive in memory: ustar, with the long names of pax and of GNU tar.
import { DataError } from '../core/index.ts'
import { checkedEntryName } from './entry-name.ts'

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
