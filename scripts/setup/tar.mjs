// Writes and reads a small tar.gz of plain files (ustar format), with zlib alone.
import { gunzipSync, gzipSync } from 'node:zlib'
import { SetupFault } from './report.mjs'

const block = 512

/** A gzipped tar archive of { name: Buffer }. The same files give the same bytes. */
export const packTar = (files) => {
  const parts = Object.entries(files).flatMap(([name, data]) => [header(name, data.length), data, padding(data.length)])
  const archive = gzipSync(Buffer.concat([...parts, Buffer.alloc(2 * block)]), { level: 9 })
  // Byte 9 of gzip names the operating system; 255 is "unknown".
  archive[9] = 255
  return archive
}

const padding = (size) => Buffer.alloc((block - (size % block)) % block)

const header = (name, size) => {
  const bytes = Buffer.alloc(block)
  const octal = (value, length) => `${value.toString(8).padStart(length - 1, '0')}\0`
  bytes.write(name, 0, 100)
  bytes.write(octal(0o644, 8), 100)
  bytes.write(octal(0, 8), 108)
  bytes.write(octal(0, 8), 116)
  bytes.write(octal(size, 12), 124)
  bytes.write(octal(0, 12), 136)
  bytes.write('        ', 148)
  bytes.write('0', 156)
  bytes.write('ustar\x0000', 257)
  bytes.write(`${octal(sum(bytes), 7)} `, 148)
  return bytes
}

const sum = (bytes) => bytes.reduce((total, byte) => total + byte, 0)

/** The files of a gzipped tar archive, of at most `limit` bytes unpacked. */
export const unpackTar = (archive, limit) => {
  const damaged = (reason) => new SetupFault(`The archive is damaged (${reason}).`)
  let bytes
  try {
    bytes = gunzipSync(archive, { maxOutputLength: limit })
  } catch (error) {
    throw damaged(error.message)
  }
  const files = {}
  for (let at = 0; at + block <= bytes.length && bytes[at] !== 0; ) {
    const head = Buffer.from(bytes.subarray(at, at + block))
    const stated = Number.parseInt(head.toString('latin1', 148, 156), 8)
    head.fill(' ', 148, 156)
    const size = Number.parseInt(head.toString('latin1', 124, 136), 8)
    if (sum(head) !== stated || !(size >= 0) || at + block + size > bytes.length) throw damaged('a header is wrong')
    const name = head.toString('utf8', 0, head.indexOf(0))
    files[name] = bytes.subarray(at + block, at + block + size)
    at += block + size + padding(size).length
  }
  return files
}
