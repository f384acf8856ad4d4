// Damage for files: bytes, and JSON. Every draw comes from the generator given, so a seed names one mutant. Knows no
// format.
import type { Random } from '../../src/core/index.ts'

export const pick = <Item>(random: Random, items: readonly Item[]): Item => items[random.integer(items.length)]

const extremes = [
  0n,
  1n,
  2n,
  7n,
  8n,
  0x7fn,
  0x80n,
  0xffn,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  2n ** 40n,
  2n ** 48n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 62n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
  2n ** 64n - 8n,
]

type ByteDamage = (bytes: Buffer, random: Random, most: number) => Buffer

const damages: ByteDamage[] = [
  (bytes, random, most) => {
    for (let n = 1 + random.integer(8); n > 0; n--) bytes[random.integer(most)] ^= 1 << random.integer(8)
    return bytes
  },
  (bytes, random, most) => {
    for (let n = 1 + random.integer(4); n > 0; n--) bytes[random.integer(most)] = random.integer(256)
    return bytes
  },
  (bytes, random) => bytes.subarray(0, random.integer(bytes.length)),
  (bytes, random) => bytes.subarray(0, Math.max(0, bytes.length - 1 - random.integer(64))),
  // A part written over another place.
  (bytes, random, most) => {
    const from = random.integer(most)
    const length = 1 + random.integer(Math.min(64, bytes.length - from))
    bytes.copyWithin(random.integer(most), from, from + length)
    return bytes
  },
  // A part put in twice, or taken out.
  (bytes, random, most) => {
    const from = random.integer(most)
    const part = bytes.subarray(from, from + 1 + random.integer(64))
    const at = random.integer(most)
    return Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at)])
  },
  (bytes, random, most) => {
    const at = random.integer(most)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.integer(32))])
  },
  // Lengths, counts and offsets at their extremes.
  (bytes, random, most) => {
    const at = random.integer(Math.max(1, Math.min(most, bytes.length - 8)))
    bytes.writeBigUInt64LE(pick(random, extremes), at)
    return bytes
  },
  (bytes, random, most) => {
    const at = random.integer(Math.max(1, Math.min(most, bytes.length - 4)))
    bytes.writeUInt32LE(Number(pick(random, extremes) & 0xffffffffn), at)
    return bytes
  },
  (bytes, random) => Buffer.concat([bytes, Buffer.alloc(1 + random.integer(100), random.integer(256))]),
]

/** Damages a copy of a file; `most` keeps the damage to its first bytes (a header), where most of the sense is. */
export const damageBytes = (file: Buffer, random: Random, most: number): Buffer => {
  let bytes: Buffer = Buffer.from(file)
  for (let n = 1 + random.integer(2); n > 0 && bytes.length > 16; n--)
    bytes = Buffer.from(pick(random, damages)(bytes, random, Math.min(bytes.length, most)))
  return bytes
}

export type Json = Record<string, unknown>

const odd: unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1,
  2,
  3,
  1.5,
  1e12,
  1e308,
  -1e308,
  1e-320,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  2 ** 63,
  '',
  'x',
  'F32',
  'BF16',
  '\0',
  '\ud800',
  '__proto__',
  'constructor',
  'a'.repeat(3000),
  [],
  {},
  [[]],
  [null],
  [0, 0],
  [0, 1e12],
  [-4, 4],
  [1e12, 1e12, 1e12],
  [8, 4],
  Array.from({ length: 40 }, () => 1),
  { type: 'default' },
  { rope_type: 'yarn', factor: 1e300 },
  { '0': 'a', '1': 'b' },
]

interface Place {
  holder: Record<string | number, unknown>
  key: string | number
}

const places = (value: unknown, found: Place[] = []): Place[] => {
  if (typeof value !== 'object' || value === null) return found
  for (const key of Array.isArray(value) ? value.keys() : Object.keys(value)) {
    found.push({ holder: value as Place['holder'], key })
    places((value as Place['holder'])[key], found)
  }
  return found
}

/** Changes one to three values of a JSON document. */
export const damageJson = (json: Json, random: Random): Json => {
  const copy = structuredClone(json)
  for (let n = 1 + random.integer(3); n > 0; n--) {
    const all = places(copy)
    if (all.length === 0) return copy
    const { holder, key } = pick(random, all)
    const kind = random.integer(6)
    const value = holder[key]
    if (kind === 0 && !Array.isArray(holder)) delete holder[key]
    else if (kind === 1) {
      const other = pick(random, all)
      holder[key] = structuredClone(other.holder[other.key])
    } else if (kind === 2 && typeof value === 'number')
      holder[key] = pick(random, [value + 1, value - 1, value * 2, value * 1e9, -value, value / 3, value + 8])
    else if (kind === 3 && !Array.isArray(holder)) holder[`${key}x`] = value
    else holder[key] = structuredClone(pick(random, odd))
  }
  return copy
}

/** Faults that only the text of a JSON document can have. */
export const damageText = (text: string, random: Random): string => {
  const at = random.integer(text.length)
  const depth = pick(random, [10, 1000, 100_000])
  return pick<() => string>(random, [
    () => text.slice(0, at),
    () => text.slice(0, at) + text.slice(at + 1 + random.integer(5)),
    () => `${text.slice(0, at)}${'['.repeat(depth)}${']'.repeat(depth)}${text.slice(at)}`,
    () => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`,
    () => '['.repeat(depth),
    // Every key of the first object once more, with what stood behind another.
    () => text.replace('{', `${text.slice(0, text.indexOf(',', at) + 1) || '{'}`),
    () => text.replace(/\d+/, '1'.repeat(400)),
    () => text.replaceAll('0', pick(random, ['00', '1e5', '1e309', '-0', '٣'])),
    () => text.replace(/"([a-zA-Z0-9_.]+)":(\s*[^,{}[\]]+)/, '"$1":$2,"$1":$2'),
    () => `\ufeff${text}`,
  ])()
}
