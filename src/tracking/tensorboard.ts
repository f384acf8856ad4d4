// Event files for TensorBoard: scalars and texts by tag and step. Records are framed as TFRecord and contain protobuf
// messages of tensorflow/core/util/event.proto.
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, writeSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { ProtoMessage } from './protobuf.ts'

// Field numbers of event.proto, summary.proto and tensor.proto.
const EVENT = { wallTime: 1, step: 2, fileVersion: 3, summary: 5, sessionLog: 7 }
const SESSION = { status: 1, start: 1 }
const SUMMARY = { value: 1 }
const VALUE = { tag: 1, simpleValue: 2, tensor: 8, metadata: 9 }
const METADATA = { plugin: 1 }
const PLUGIN = { name: 1 }
const TENSOR = { dtype: 1, shape: 2, stringValue: 8 }
const SHAPE = { dim: 2 }
const DIM = { size: 1 }
const DT_STRING = 7

/** Options of `openTensorBoard`. */
export interface TensorBoardOptions {
  /** TensorBoard forgets what earlier files of the folder have for this step and later ones: all, unless a run is resumed. */
  purgeStep?: number
  /** Seconds since 1970, for tests. */
  now?: () => number
}

/** Writes scalars and texts to an event file of TensorBoard. */
export interface TensorBoardWriter {
  readonly path: string
  /** A point of a curve; kept as float32. */
  scalar(tag: string, value: number, step: number, wallTime?: number): void
  /** Markdown. */
  text(tag: string, text: string, step: number, wallTime?: number): void
  /** Hands what is in memory to the system; with `sync`, to the disk. */
  flush(options?: { sync?: boolean }): void
  /** Safe to call twice. */
  close(): void
}

const prefix = 'events.out.tfevents.'
const bufferBytes = 1 << 16
const bufferSeconds = 5

/** Begins a new event file in `folder`, which sorts behind those that are there. */
export const openTensorBoard = (folder: string, options: TensorBoardOptions = {}): TensorBoardWriter => {
  const { purgeStep = 0, now = () => Date.now() / 1000 } = options
  mkdirSync(folder, { recursive: true })
  const path = join(folder, freeName(folder, now()))
  const file = openSync(path, 'wx')
  let buffer: Buffer[] = []
  let buffered = 0
  let oldest = 0
  let closed = false

  const flush = ({ sync = false } = {}) => {
    const bytes = Buffer.concat(buffer)
    buffer = []
    buffered = 0
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done)
    if (sync) fsyncSync(file)
  }
  const write = (event: ProtoMessage) => {
    if (closed) throw new Error(`${path} was closed; nothing can be added.`)
    if (buffered === 0) oldest = now()
    const record = frameRecord(event.encoded())
    buffer.push(record)
    buffered += record.length
    if (buffered >= bufferBytes || now() - oldest >= bufferSeconds) flush()
  }
  const value = (step: number, wallTime: number, summaryValue: ProtoMessage) =>
    write(
      new ProtoMessage()
        .double(EVENT.wallTime, wallTime)
        .varint(EVENT.step, step)
        .message(EVENT.summary, new ProtoMessage().message(SUMMARY.value, summaryValue)),
    )

  write(new ProtoMessage().double(EVENT.wallTime, now()).text(EVENT.fileVersion, 'brain.Event:2'))
  // The first start in a folder is a beginning to TensorBoard, and only those after it are restarts, so each file has one.
  write(
    new ProtoMessage()
      .double(EVENT.wallTime, now())
      .varint(EVENT.step, purgeStep)
      .message(EVENT.sessionLog, new ProtoMessage().varint(SESSION.status, SESSION.start)),
  )
  flush()

  return {
    path,
    scalar(tag, number, step, wallTime = now()) {
      value(step, wallTime, new ProtoMessage().text(VALUE.tag, tag).float(VALUE.simpleValue, number))
    },
    text(tag, text, step, wallTime = now()) {
      const tensor = new ProtoMessage()
        .varint(TENSOR.dtype, DT_STRING)
        .message(TENSOR.shape, new ProtoMessage().message(SHAPE.dim, new ProtoMessage().varint(DIM.size, 1)))
        .text(TENSOR.stringValue, text)
      const plugin = new ProtoMessage().text(PLUGIN.name, 'text')
      const metadata = new ProtoMessage().message(METADATA.plugin, plugin)
      value(
        step,
        wallTime,
        new ProtoMessage().text(VALUE.tag, tag).message(VALUE.tensor, tensor).message(VALUE.metadata, metadata),
      )
    },
    flush,
    close() {
      if (closed) return
      closed = true
      try {
        flush({ sync: true })
      } finally {
        closeSync(file)
      }
    },
  }
}

/** TensorBoard reads the files of a folder in the order of their names, so a new name must be the last. */
const freeName = (folder: string, now: number): string => {
  const seconds = readdirSync(folder)
    .filter((name) => name.startsWith(prefix))
    .map((name) => Number(name.slice(prefix.length).split('.')[0]) || 0)
  const next = Math.max(Math.floor(now), ...seconds.map((second) => second + 1))
  return `${prefix}${String(next).padStart(10, '0')}.${hostname().replace(/[^\w.-]/g, '_')}.${process.pid}.0`
}

/** Length, its checksum, data, its checksum. @source TensorFlow, tensorflow/core/lib/io/record_writer.h */
export const frameRecord = (data: Uint8Array): Buffer => {
  const frame = Buffer.alloc(data.length + 16)
  frame.writeBigUInt64LE(BigInt(data.length), 0)
  frame.writeUInt32LE(maskedCrc32c(frame.subarray(0, 8)), 8)
  frame.set(data, 12)
  frame.writeUInt32LE(maskedCrc32c(data), 12 + data.length)
  return frame
}

/** Checksums of data that may hold checksums are rotated and shifted. */
export const maskedCrc32c = (data: Uint8Array): number => {
  const crc = crc32c(data)
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  return crc
})

/** CRC-32C, Castagnoli's polynomial. @source RFC 3720, appendix B.4 */
export const crc32c = (data: Uint8Array): number => {
  let crc = 0xffffffff
  for (const byte of data) crc = table[(crc ^ byte) & 0xff] ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}
