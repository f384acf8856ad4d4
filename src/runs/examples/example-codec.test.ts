// Examples as bytes: the values that come back are those that went in, to the bit.
import { describe, expect, it } from 'vitest'
import { checksum, ExampleDecoder, ExampleEncoder } from './example-codec.ts'

const example = {
  ids: Uint32Array.of(101, 2023, 60_000, 102),
  small: Uint32Array.of(1, 2, 255),
  large: Uint32Array.of(1, 2 ** 31, 2 ** 32 - 1),
  signed: Int32Array.of(-100, 3, 70_000),
  typeIds: Uint8Array.of(0, 1, 255),
  scores: Float32Array.of(0.1, Number.NaN, -0, Number.POSITIVE_INFINITY),
  counts: BigInt64Array.of(-1n, 2n ** 62n),
  none: new Uint32Array(0),
  starts: [0, 3],
  truncatedTokens: 0,
  labels: undefined,
  answer: [5, 9],
  nested: { text: 'naïve ✓ 𝔸', flag: false, nothing: null, list: [{ a: -1 }, { a: 2.5 }] },
  numbers: [-0, 0, 1e300, -(2 ** 30), 2 ** 30, 2 ** 53, Number.NaN, 0.1, -12345],
}

describe('ExampleEncoder', () => {
  it('keeps every value, with shapes that are known and with those that are not', () => {
    const growing = new ExampleEncoder([], true)
    growing.add(example)
    const { shapes } = growing
    const bytes = growing.take()
    expect(new ExampleDecoder(shapes).decode(Buffer.from(bytes))).toStrictEqual(example)
    const fixed = new ExampleEncoder(shapes)
    const other = { ids: Uint32Array.of(7), more: 'field' }
    fixed.add(other)
    expect(fixed.shapes).toEqual(shapes)
    expect(new ExampleDecoder(shapes).decode(Buffer.from(fixed.take()))).toStrictEqual(other)
    fixed.add(example)
    expect(Buffer.from(fixed.take()).equals(bytes)).toBe(true)
  })

  it('keeps fields with the names of what every object has', () => {
    const columns: unknown = JSON.parse('{"__proto__":{"a":1},"constructor":"c","toString":2}')
    const encoder = new ExampleEncoder()
    encoder.add(columns)
    const decoded = new ExampleDecoder([]).decode(Buffer.from(encoder.take()))
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype)
    expect(JSON.stringify(decoded)).toBe('{"__proto__":{"a":1},"constructor":"c","toString":2}')
  })

  it('stores token ids in the bytes that they need', () => {
    const sizeOf = (ids: Uint32Array) => {
      const encoder = new ExampleEncoder()
      encoder.add(ids)
      return encoder.length
    }
    const [small, middle, large] = [250, 60_000, 70_000].map((id) => sizeOf(new Uint32Array(100).fill(id)))
    expect(middle - small).toBe(100)
    expect(large - middle).toBe(200)
  })

  it('refuses what is not plain data', () => {
    expect(() => new ExampleEncoder().add({ when: new Date(0) })).toThrow(/plain data/)
    expect(() => new ExampleEncoder().add({ call: () => 1 })).toThrow(/plain data/)
    expect(() => new ExampleEncoder().add(new Uint8ClampedArray(2))).toThrow(/Uint8ClampedArray/)
  })

  it('has checksums that any changed bit changes', () => {
    const bytes = Uint8Array.from({ length: 64 }, (_, i) => i)
    const whole = checksum(bytes)
    for (let bit = 0; bit < 512; bit++) {
      const changed = bytes.slice()
      changed[bit >> 3] ^= 1 << (bit & 7)
      expect(checksum(changed)).not.toBe(whole)
    }
  })
})
