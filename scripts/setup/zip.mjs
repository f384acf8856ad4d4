// Reads zip archives (wheels are zip archives too) with zlib alone. Checks every size, name and checksum in them.
import { createReadStream, createWriteStream, readFileSync } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createInflateRaw } from 'node:zlib'
import { digestFile } from './hashes.mjs'
import { SetupFault } from './report.mjs'

const endRecord = 0x06054b50
const endRecord64 = 0x06064b50
const endLocator64 = 0x07064b50
const directoryEntry = 0x02014b50
const localEntry = 0x04034b50

/** Unpacks entries under `target`. `accept` maps an entry's name to its new relative path, or undefined to skip it. */
export const unzip = async (archive, target, accept) => {
  const file = await open(archive, 'r')
  try {
    const { size } = await file.stat()
    const unpacked = []
    for (const entry of await readDirectory(file, size, archive)) {
      const name = entry.name.endsWith('/') ? undefined : accept(entry.name)
      if (name === undefined) continue
      if (name.split('/').includes('..') || name.startsWith('/') || name.includes('\\')) {
        throw new SetupFault(`The archive \`${archive}\` contains the unsafe path \`${name}\`. Do not use it.`)
      }
      await unpackEntry(file, size, entry, join(target, name), archive)
      unpacked.push(name)
    }
    return unpacked
  } finally {
    await file.close()
  }
}

/** The names of all entries. */
export const listZip = async (archive) => {
  const file = await open(archive, 'r')
  try {
    const { size } = await file.stat()
    return (await readDirectory(file, size, archive)).map((entry) => entry.name)
  } finally {
    await file.close()
  }
}

const readAt = async (file, position, length, archive) => {
  const buffer = Buffer.alloc(length)
  const { bytesRead } = await file.read(buffer, 0, length, position)
  if (bytesRead !== length) throw broken(archive)
  return buffer
}

const broken = (archive) => {
  return new SetupFault(`The archive \`${archive}\` is damaged or truncated. Delete it and run set-up again.`)
}

const readDirectory = async (file, size, archive) => {
  const tailLength = Math.min(size, 65_557)
  const tail = await readAt(file, size - tailLength, tailLength, archive)
  let at = tail.length - 22
  while (at >= 0 && tail.readUInt32LE(at) !== endRecord) at -= 1
  if (at < 0) throw broken(archive)
  let count = tail.readUInt16LE(at + 10)
  let length = tail.readUInt32LE(at + 12)
  let start = tail.readUInt32LE(at + 16)
  if (count === 0xffff || length === 0xffffffff || start === 0xffffffff) {
    if (at < 20 || tail.readUInt32LE(at - 20) !== endLocator64) throw broken(archive)
    const record = await readAt(file, Number(tail.readBigUInt64LE(at - 12)), 56, archive)
    if (record.readUInt32LE(0) !== endRecord64) throw broken(archive)
    count = Number(record.readBigUInt64LE(32))
    length = Number(record.readBigUInt64LE(40))
    start = Number(record.readBigUInt64LE(48))
  }
  if (start + length > size || count > 1_000_000 || length > 512 * 2 ** 20) throw broken(archive)
  return parseDirectory(await readAt(file, start, length, archive), count, archive)
}

const parseDirectory = (bytes, count, archive) => {
  const entries = []
  let at = 0
  for (let i = 0; i < count; i++) {
    if (at + 46 > bytes.length || bytes.readUInt32LE(at) !== directoryEntry) throw broken(archive)
    const nameLength = bytes.readUInt16LE(at + 28)
    const extraLength = bytes.readUInt16LE(at + 30)
    const commentLength = bytes.readUInt16LE(at + 32)
    const entry = {
      method: bytes.readUInt16LE(at + 10),
      crc: bytes.readUInt32LE(at + 16),
      packed: bytes.readUInt32LE(at + 20),
      size: bytes.readUInt32LE(at + 24),
      offset: bytes.readUInt32LE(at + 42),
      name: bytes.toString('utf8', at + 46, at + 46 + nameLength),
    }
    widen(entry, bytes.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength))
    entries.push(entry)
    at += 46 + nameLength + extraLength + commentLength
  }
  return entries
}

/** Sizes above 4 GiB are in the extra field 1, in this order and only where the short field is full. */
const widen = (entry, extra) => {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue
    let from = at + 4
    for (const field of ['size', 'packed', 'offset']) {
      if (entry[field] !== 0xffffffff || from + 8 > extra.length) continue
      entry[field] = Number(extra.readBigUInt64LE(from))
      from += 8
    }
  }
}

const unpackEntry = async (file, size, entry, target, archive) => {
  const header = await readAt(file, entry.offset, 30, archive)
  if (header.readUInt32LE(0) !== localEntry) throw broken(archive)
  const start = entry.offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28)
  if (start + entry.packed > size || (entry.method !== 0 && entry.method !== 8)) throw broken(archive)
  await mkdir(dirname(target), { recursive: true })
  const check = new Checksum(entry, archive)
  const unpack = entry.method === 8 ? [createInflateRaw()] : []
  const input =
    entry.packed === 0
      ? emptyInput()
      : createReadStream(archive, { start, end: start + entry.packed - 1, highWaterMark: 1 << 20 })
  try {
    await pipeline(input, ...unpack, check, createWriteStream(target, { flags: 'wx' }))
  } catch (error) {
    if (error.code?.startsWith('Z_')) throw broken(archive)
    throw error
  }
}

async function* emptyInput() {}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
  return value
})

/** Copies bytes, and fails at the end when their number or CRC-32 differs from the archive's directory. */
class Checksum extends Transform {
  #crc = 0xffffffff
  #bytes = 0
  #entry
  #archive

  constructor(entry, archive) {
    super()
    this.#entry = entry
    this.#archive = archive
  }

  _transform(chunk, _encoding, done) {
    let crc = this.#crc
    for (let i = 0; i < chunk.length; i++) crc = crcTable[(crc ^ chunk[i]) & 255] ^ (crc >>> 8)
    this.#crc = crc
    this.#bytes += chunk.length
    // A zip bomb unpacks to more than its directory states.
    if (this.#bytes > this.#entry.size) done(broken(this.#archive))
    else done(null, chunk)
  }

  _flush(done) {
    const right = this.#bytes === this.#entry.size && (this.#crc ^ 0xffffffff) >>> 0 === this.#entry.crc
    done(right ? null : broken(this.#archive))
  }
}

/** A wheel lists the SHA-256 of its files. Every unpacked file must be in the list and equal. @param what names the wheel in errors */
export const checkRecord = async (folder, names, what) => {
  const record = names.find((name) => name.endsWith('.dist-info/RECORD'))
  if (record === undefined)
    throw new SetupFault(`Expected a RECORD of files in ${what}, found none. Use another wheel.`)
  const stated = new Map()
  for (const line of readFileSync(join(folder, record), 'utf8').split('\n')) {
    const match = /^"?(.+?)"?,sha256=([\w-]+),\d*$/.exec(line.trim())
    if (match !== null) stated.set(match[1], match[2])
  }
  for (const name of names) {
    if (name === record) continue
    const digest = Buffer.from(await digestFile(join(folder, name)), 'hex').toString('base64url')
    if (stated.get(name) !== digest) throw new SetupFault(`${what} is damaged at \`${name}\`. Run set-up again.`)
  }
}
