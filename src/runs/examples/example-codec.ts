// Examples as bytes, and back to the same values: plain objects, lists, numbers, texts and typed arrays. Token ids take as few bytes as
// they need. Names of fields are stored once, for objects of a known shape.
import { invariant } from '../../core/index.ts'

/** Field names of an object, in their order. */
export type Shape = readonly string[]

const tags = {
  undefined: 0,
  null: 1,
  false: 2,
  true: 3,
  integer: 4,
  number: 5,
  text: 6,
  list: 7,
  shaped: 8,
  object: 9,
  typed: 10,
} as const

type Typed = Exclude<NodeJS.TypedArray, Uint8ClampedArray>
type TypedConstructor = new (length: number) => Typed

const typedKinds: readonly TypedConstructor[] = [
  Uint8Array,
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
]
const integerKinds: readonly unknown[] = [Uint16Array, Int16Array, Uint32Array, Int32Array]

const shapeKey = (shape: Shape): string => JSON.stringify(shape)

/** FNV-1a of bytes, as an unsigned 32-bit number. */
export const checksum = (bytes: Uint8Array, from = 0, to = bytes.length): number => {
  let hash = 0x811c9dc5
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193)
  return hash >>> 0
}

/** Writes values one after the other into growing bytes. */
export class ExampleEncoder {
  #bytes = Buffer.allocUnsafe(1 << 16)
  #length = 0
  readonly #shapes: Shape[]
  readonly #numbers: Map<string, number>
  readonly #grows: boolean

  /** @param grows whether new shapes are added to the known ones; otherwise objects of other shapes store their field names */
  constructor(shapes: readonly Shape[] = [], grows = false) {
    this.#shapes = [...shapes]
    this.#numbers = new Map(shapes.map((shape, i) => [shapeKey(shape), i]))
    this.#grows = grows
  }

  get shapes(): readonly Shape[] {
    return this.#shapes
  }

  get length(): number {
    return this.#length
  }

  /** The bytes so far; valid until the next value. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** A copy of the bytes; the encoder is empty afterwards. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = new Uint8Array(this.#length)
    taken.set(this.bytes)
    this.#length = 0
    return taken
  }

  /** @throws Error for values that are not plain data */
  add(value: unknown): void {
    if (value === undefined || value === null || typeof value === 'boolean') this.#byte(tags[`${value}`])
    else if (typeof value === 'number') this.#number(value)
    else if (typeof value === 'string') {
      this.#byte(tags.text)
      this.#text(value)
    } else if (Array.isArray(value)) {
      this.#byte(tags.list)
      this.#unsigned(value.length)
      for (const one of value as unknown[]) this.add(one)
    } else if (ArrayBuffer.isView(value)) this.#typed(value as Typed)
    else {
      const isPlain = typeof value === 'object' && [Object.prototype, null].includes(Object.getPrototypeOf(value))
      // Plain data may have a column `toString`, so it is not made a text.
      if (!isPlain)
        invariant(false, `examples are plain data: ${typeof value} ${String(value).slice(0, 40)} cannot be stored.`)
      this.#object(value as { [name: string]: unknown })
    }
  }

  #object(value: { [name: string]: unknown }): void {
    const shape = Object.keys(value)
    const key = shapeKey(shape)
    let number = this.#numbers.get(key)
    if (number === undefined && this.#grows) {
      number = this.#shapes.push(shape) - 1
      this.#numbers.set(key, number)
    }
    if (number === undefined) {
      this.#byte(tags.object)
      this.#unsigned(shape.length)
      for (const name of shape) this.#text(name)
    } else {
      this.#byte(tags.shaped)
      this.#unsigned(number)
    }
    for (const name of shape) this.add(value[name])
  }

  #number(value: number): void {
    if (Number.isInteger(value) && Math.abs(value) < 2 ** 30 && !Object.is(value, -0)) {
      this.#byte(tags.integer)
      // Zigzag: the sign is the lowest bit.
      this.#unsigned(value < 0 ? -2 * value - 1 : 2 * value)
    } else {
      this.#byte(tags.number)
      this.#reserve(8)
      this.#length = this.#bytes.writeDoubleLE(value, this.#length)
    }
  }

  #typed(value: Typed): void {
    const kind = typedKinds.indexOf(value.constructor as TypedConstructor)
    invariant(kind >= 0, `examples have typed arrays of numbers: ${value.constructor.name} cannot be stored.`)
    const width = integerKinds.includes(value.constructor) ? widthOf(value as Uint32Array) : value.BYTES_PER_ELEMENT
    this.#byte(tags.typed)
    this.#byte(kind)
    this.#byte(width)
    this.#unsigned(value.length)
    this.#reserve(value.length * width)
    if (width === value.BYTES_PER_ELEMENT) {
      this.#bytes.set(new Uint8Array(value.buffer, value.byteOffset, value.byteLength), this.#length)
      this.#length += value.byteLength
      return
    }
    for (const one of value as Uint32Array) {
      this.#bytes[this.#length++] = one & 0xff
      if (width === 2) this.#bytes[this.#length++] = one >>> 8
    }
  }

  #text(text: string): void {
    const bytes = Buffer.byteLength(text)
    this.#unsigned(bytes)
    this.#reserve(bytes)
    this.#bytes.write(text, this.#length)
    this.#length += bytes
  }

  #unsigned(value: number): void {
    this.#reserve(5)
    let rest = value
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#bytes[this.#length++] = (rest & 0x7f) | 0x80
    this.#bytes[this.#length++] = rest
  }

  #byte(byte: number): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = byte
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, this.#length + bytes))
    larger.set(this.bytes)
    this.#bytes = larger
  }
}

/** Bytes per value that hold all values of integers: 1, 2, or as many as they have. */
const widthOf = (values: Uint32Array): number => {
  let all = 0
  for (const value of values) all |= value
  if (all < 0 || all > 0xffff || values.BYTES_PER_ELEMENT < 2) return values.BYTES_PER_ELEMENT
  return all > 0xff ? 2 : 1
}

export class ExampleDecoder {
  readonly #shapes: readonly Shape[]
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0

  constructor(shapes: readonly Shape[]) {
    this.#shapes = shapes
  }

  decode(bytes: Buffer): unknown {
    this.#bytes = bytes
    this.#at = 0
    return this.#value()
  }

  #value(): unknown {
    switch (this.#bytes[this.#at++]) {
      case tags.undefined:
        return undefined
      case tags.null:
        return null
      case tags.false:
        return false
      case tags.true:
        return true
      case tags.integer: {
        const value = this.#unsigned()
        return value % 2 === 0 ? value / 2 : -(value + 1) / 2
      }
      case tags.number:
        this.#at += 8
        return this.#bytes.readDoubleLE(this.#at - 8)
      case tags.text:
        return this.#text()
      case tags.list: {
        const length = this.#unsigned()
        const list: unknown[] = []
        for (let i = 0; i < length; i++) list.push(this.#value())
        return list
      }
      case tags.shaped:
        return this.#fields(this.#shapes[this.#unsigned()])
      case tags.object:
        return this.#fields(Array.from({ length: this.#unsigned() }, () => this.#text()))
      case tags.typed:
        return this.#typed()
      default:
        throw new Error('Expected an example, got other bytes.')
    }
  }

  #fields(shape: Shape): object {
    const value: { [name: string]: unknown } = {}
    for (const name of shape) {
      // Assigned, this name would set the prototype; defining every field would make decoding slow.
      if (name === '__proto__')
        Object.defineProperty(value, name, {
          value: this.#value(),
          writable: true,
          enumerable: true,
          configurable: true,
        })
      else value[name] = this.#value()
    }
    return value
  }

  #typed(): Typed {
    const kind = typedKinds[this.#bytes[this.#at++]]
    const width = this.#bytes[this.#at++]
    const length = this.#unsigned()
    const values = new kind(length)
    const from = this.#at
    this.#at += length * width
    if (width === values.BYTES_PER_ELEMENT)
      new Uint8Array(values.buffer).set(this.#bytes.subarray(from, from + length * width))
    else if (width === 1) for (let i = 0; i < length; i++) values[i] = this.#bytes[from + i]
    else for (let i = 0; i < length; i++) values[i] = this.#bytes[from + 2 * i] | (this.#bytes[from + 2 * i + 1] << 8)
    return values
  }

  #text(): string {
    const length = this.#unsigned()
    this.#at += length
    return this.#bytes.toString('utf8', this.#at - length, this.#at)
  }

  #unsigned(): number {
    let value = 0
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.#bytes[this.#at++]
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
  }
}
