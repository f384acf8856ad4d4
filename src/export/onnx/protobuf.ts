// The wire format of protocol buffers, for writing only, by a schema that is data. A message is a list of parts whose sizes are
// known, so that a file of any size is written without holding it: weights are parts that make their bytes when they are
// written. A library of message classes holds the whole file, and a copy of it while serialising.
// @source https://protobuf.dev/programming-guides/encoding

import type { NamedPart } from '../save-into.ts'

/** Bytes that are made when they are written. */
export interface Streamed {
  bytes: number
  /** The tensor that the addon makes the bytes of, where it can. */
  part?: NamedPart
  /** The bytes, in pieces. */
  chunks(): Iterable<Uint8Array>
}
type Part = Uint8Array | Streamed

export type FilePiece = Uint8Array | NamedPart

export const piecesOf = ({ part, chunks }: Streamed): Iterable<FilePiece> => (part === undefined ? chunks() : [part])

interface ProtoField {
  number: number
  /** A scalar type, or the name of a message or enum. */
  type: string
  repeated?: true
  /** Repeated numbers in one piece, without a key for each. */
  packed?: true
}

/** Messages by their names, with their fields in the order of their numbers, and enums. */
export interface ProtoSchema {
  messages: Readonly<Record<string, Readonly<Record<string, ProtoField>>>>
  enums: Readonly<Record<string, Readonly<Record<string, number>>>>
}

interface Scalars {
  string: string
  bytes: Part
  int32: number
  int64: number | bigint
  uint64: number | bigint
  float: number
  double: number
}

type ValueOf<Schema extends ProtoSchema, Type> = Type extends keyof Scalars
  ? Scalars[Type]
  : Type extends keyof Schema['messages'] & string
    ? MessageOf<Schema, Type>
    : Type extends keyof Schema['enums']
      ? keyof Schema['enums'][Type]
      : never

/** The fields of a message; those that are left out are not written. */
export type MessageOf<Schema extends ProtoSchema, Name extends keyof Schema['messages'] & string> = {
  readonly [Field in keyof Schema['messages'][Name]]?: Schema['messages'][Name][Field] extends { repeated: true }
    ? readonly ValueOf<Schema, Schema['messages'][Name][Field]['type']>[]
    : ValueOf<Schema, Schema['messages'][Name][Field]['type']>
}

const [asVarint, asFixed64, asBytes, asFixed32] = [0, 1, 2, 5]
const kinds: Record<string, number> = { string: asBytes, bytes: asBytes, float: asFixed32, double: asFixed64 }

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

const float = (value: number, size: 4 | 8): Uint8Array => {
  const view = new DataView(new ArrayBuffer(size))
  if (size === 4) view.setFloat32(0, value, true)
  else view.setFloat64(0, value, true)
  return new Uint8Array(view.buffer)
}

const encoder = new TextEncoder()

export class EncodedMessage implements Streamed {
  readonly #parts: Part[] = []
  #bytes = 0

  constructor(schema: ProtoSchema, name: string, fields: Readonly<Record<string, unknown>>) {
    for (const [field, { number, type, repeated = false, packed = false }] of Object.entries(schema.messages[name])) {
      const given = fields[field]
      if (given === undefined) continue
      const values = (repeated ? given : [given]) as readonly unknown[]
      const parts = values.map((value) => partOf(schema, type, value))
      if (packed) this.#sized(number, Buffer.concat(parts as Uint8Array[]))
      else for (const part of parts) this.#field(schema, number, type, part)
    }
  }

  /** Size of the message in the file. */
  get bytes(): number {
    return this.#bytes
  }

  #push(part: Part): void {
    this.#parts.push(part)
    this.#bytes += part instanceof Uint8Array ? part.length : part.bytes
  }

  #field(schema: ProtoSchema, number: number, type: string, part: Part): void {
    const kind = kinds[type] ?? (Object.hasOwn(schema.messages, type) ? asBytes : asVarint)
    if (kind === asBytes) this.#sized(number, part)
    else {
      this.#push(varint(number * 8 + kind))
      this.#push(part)
    }
  }

  #sized(number: number, part: Part): void {
    this.#push(varint(number * 8 + asBytes))
    this.#push(varint(part instanceof Uint8Array ? part.length : part.bytes))
    this.#push(part)
  }

  /** The message in pieces, in which tensors are parts that are not yet bytes. */
  *pieces(): Iterable<FilePiece> {
    for (const part of this.#parts)
      if (part instanceof Uint8Array) yield part
      else if (part instanceof EncodedMessage) yield* part.pieces()
      else yield* piecesOf(part)
  }

  /** The bytes of the message, in pieces. */
  *chunks(): Iterable<Uint8Array> {
    for (const part of this.#parts)
      if (part instanceof Uint8Array) yield part
      else yield* part.chunks()
  }
}

/** A value without its key and length. */
const partOf = (schema: ProtoSchema, type: string, value: unknown): Part => {
  if (type === 'string') return encoder.encode(value as string)
  if (type === 'bytes') return value as Part
  if (type === 'float' || type === 'double') return float(value as number, type === 'float' ? 4 : 8)
  if (Object.hasOwn(schema.messages, type)) return new EncodedMessage(schema, type, value as Record<string, unknown>)
  return varint(Object.hasOwn(schema.enums, type) ? schema.enums[type][value as string] : (value as number | bigint))
}

export const encodeMessage = <Schema extends ProtoSchema, Name extends keyof Schema['messages'] & string>(
  schema: Schema,
  name: Name,
  fields: MessageOf<Schema, Name>,
): EncodedMessage => new EncodedMessage(schema, name, fields as Readonly<Record<string, unknown>>)
