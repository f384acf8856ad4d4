// The wire format of protocol buffers, for writing only. A message is a list of parts whose sizes are known, so that a file
// of any size is written without holding it: weights are parts that make their bytes when they are written. A library of
// message classes holds the whole file, and a copy of it while serialising.
// @source https://protobuf.dev/programming-guides/encoding

import type { NamedPart } from '../not-finite.ts'

/** Bytes that are made when they are written. */
export interface Streamed {
  /** Number of bytes. */
  bytes: number
  /** The tensor that the addon makes the bytes of, where it can. */
  part?: NamedPart
  /** The bytes, in pieces. */
  chunks(): Iterable<Uint8Array>
}
type Part = Uint8Array | Streamed

/** What files are written of. */
export type FilePiece = Uint8Array | NamedPart

/** Streamed bytes in pieces. */
export const piecesOf = ({ part, chunks }: Streamed): Iterable<FilePiece> => (part === undefined ? chunks() : [part])

const [asVarint, asBytes, asFixed32] = [0, 2, 5]

const varint = (value: number | bigint): Uint8Array => {
  const bytes: number[] = []
  // Negative numbers have the ten bytes of a 64-bit integer.
  let rest = BigInt.asUintN(64, BigInt(value))
  do {
    const low = Number(rest & 127n)
    rest >>= 7n
    bytes.push(rest === 0n ? low : low | 128)
  } while (rest !== 0n)
  return Uint8Array.from(bytes)
}

const encoder = new TextEncoder()

/** A message that is being written, field after field, by their numbers in the schema. */
export class ProtoMessage {
  readonly #parts: Part[] = []
  #bytes = 0

  /** Size of the message in the file. */
  get bytes(): number {
    return this.#bytes
  }

  #push(part: Part): void {
    this.#parts.push(part)
    this.#bytes += part instanceof Uint8Array ? part.length : part.bytes
  }

  #key(field: number, kind: number): void {
    this.#push(varint(field * 8 + kind))
  }

  int(field: number, value: number | bigint): this {
    this.#key(field, asVarint)
    this.#push(varint(value))
    return this
  }

  float(field: number, value: number): this {
    this.#key(field, asFixed32)
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setFloat32(0, value, true)
    this.#push(bytes)
    return this
  }

  string(field: number, text: string): this {
    return this.data(field, encoder.encode(text))
  }

  data(field: number, bytes: Part): this {
    this.#key(field, asBytes)
    this.#push(varint(bytes instanceof Uint8Array ? bytes.length : bytes.bytes))
    this.#push(bytes)
    return this
  }

  message(field: number, message: ProtoMessage): this {
    this.#key(field, asBytes)
    this.#push(varint(message.bytes))
    this.#push(message)
    return this
  }

  /** The message in pieces, in which tensors are parts that are not yet bytes. */
  *pieces(): Iterable<FilePiece> {
    for (const part of this.#parts)
      if (part instanceof Uint8Array) yield part
      else if (part instanceof ProtoMessage) yield* part.pieces()
      else yield* piecesOf(part)
  }

  /** The bytes of the message, in pieces. */
  *chunks(): Iterable<Uint8Array> {
    for (const part of this.#parts)
      if (part instanceof Uint8Array) yield part
      else yield* part.chunks()
  }
}
