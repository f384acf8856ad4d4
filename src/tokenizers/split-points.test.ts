// The scanners against the regular expressions they stand for, the translation of Oniguruma's syntax, and the cache.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Tokenizer } from './index.ts'
import { translateRegex } from './oniguruma.ts'
import { GPT2_PATTERN, LLAMA3_PATTERN, QWEN2_PATTERN } from './pre-tokenizers/index.ts'
import { regexScanner, type Scanner, scannerOf } from './pre-tokenizers/scanner.ts'
import { wellFormed } from './unicode.ts'
import { hashUnits, WordCache } from './word-cache.ts'

const cut = (scanner: Scanner, text: string): string[] => {
  const units = Uint16Array.from(text, (character) => character.charCodeAt(0))
  const all = new Uint16Array(text.length)
  for (let i = 0; i < text.length; i++) all[i] = text.charCodeAt(i)
  expect(units.length).toBeLessThanOrEqual(all.length)
  scanner.begin?.(text)
  const pieces: string[] = []
  for (let at = 0; at < text.length; ) {
    const end = scanner.next(all, at, text.length)
    expect(end).toBeGreaterThan(at)
    pieces.push(text.slice(at, end))
    at = end
  }
  return pieces
}

const character = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      ..." \n\r\t'.!a1éſß\u00a0\u0085\ufeff\u3000",
      "'s",
      "'RE",
      "'ll",
      '  ',
      '\r\n',
      '12345',
      '日本',
      '𝒜',
      '😀',
      '\u0301',
    ),
  },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 2 }) },
)
const texts = fc.array(character, { maxLength: 30 }).map((parts) => parts.join(''))

describe('scanners written by hand', () => {
  it.each([GPT2_PATTERN, LLAMA3_PATTERN, QWEN2_PATTERN])('equal %s', (pattern) => {
    const regex = translateRegex(pattern, 'test')
    const hand = scannerOf(pattern, regex)
    const slow = regexScanner(regex)
    expect(hand.limited).toBe(true)
    fc.assert(
      fc.property(texts, (text) => {
        expect(cut(hand, text)).toEqual(cut(slow, text))
      }),
      { numRuns: 3000 },
    )
  })
})

describe('translateRegex', () => {
  const found = (pattern: string, text: string) =>
    [...text.matchAll(translateRegex(pattern, 'test'))].map(([match]) => match)

  it.each([
    ['a++b', 'aab', ['aab']],
    ['a++ab', 'aaab', []],
    ['(?>a|ab)c', 'abc', []],
    ["(?i:'s|'ve)", "'S 'Ve 'ſ 't", ["'S", "'Ve", "'ſ"]],
    ['(?i)ab(?-i)c', 'ABc abC', ['ABc']],
    ['[^\\s\\d-]+', 'ab-1 c', ['ab', 'c']],
    ['[[:alpha:]&&[^a]]+', 'banana', ['b', 'n', 'n']],
    ['\\h+', 'xFFg', ['FF']],
    ['\\p{Han}+|\\p{^L}', 'a漢字1', ['漢字', '1']],
    ['^b', 'a\nb', ['b']],
    ['a$', 'a\nb', ['a']],
    ['\\Ab', 'a\nb', []],
    ['.', 'a\r\n', ['a', '\r']],
    ['\\x{1F600}|\\u00e9|\\x41', '😀éA', ['😀', 'é', 'A']],
    ['a{,2}b', 'aab', ['aab']],
    ['x{2', 'x{2', ['x{2']],
    ['\\bthe\\b', 'the other the', ['the', 'the']],
    ['\\s', '\u0085\ufeff', ['\u0085']],
    ['[\\]\\-a]+', 'a]-b', ['a]-']],
    ['(?<name>a)(?#note)b', 'ab', ['ab']],
  ])('%s', (pattern, text, expected) => {
    expect(found(pattern, text)).toEqual(expected)
  })

  it.each(['(', ')', '[', 'a{2,1}', '*a', '\\1', '(?<n>a)\\k<n>', '\\p{Nope}', '(?~a)', '\\G', 'x{9999}'])(
    'refuses %s',
    (pattern) => {
      expect(() => translateRegex(pattern, 'place')).toThrow(/place/)
    },
  )
})

describe('WordCache', () => {
  it('gives back what was put in, through growth and forgetting', () => {
    const cache = new WordCache()
    const out = new Uint32Array(2000)
    const word = (i: number) => Uint16Array.from(`word ${i}`, (letter) => letter.charCodeAt(0))
    const ids = (i: number) => Array.from({ length: i % 4 }, (_, k) => i * 3 + k)
    for (let i = 0; i < 20_000; i++) {
      const units = word(i)
      cache.add(units, 0, units.length, hashUnits(units, 0, units.length), ids(i))
    }
    for (let i = 0; i < 20_000; i++) {
      const units = word(i)
      const place = cache.find(units, 0, units.length, hashUnits(units, 0, units.length))
      expect(place).toBeGreaterThanOrEqual(0)
      expect([...out.subarray(0, cache.copy(place, out, 0))]).toEqual(ids(i))
    }
    cache.clear()
    const units = word(1)
    expect(cache.find(units, 0, units.length, hashUnits(units, 0, units.length))).toBe(-1)
  })
})

describe('round trips', () => {
  const vocab = Object.fromEntries(Array.from({ length: 256 }, (_, i) => [String.fromCharCode(i), i]))
  it('byte-level tokenizers give every well-formed text back', async () => {
    const { BYTE_ALPHABET } = await import('./byte-level.ts')
    const bytes = Object.fromEntries(BYTE_ALPHABET.map((letter, id) => [letter, id]))
    expect(Object.keys(vocab)).toHaveLength(256)
    const tokenizer = new Tokenizer({
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
      decoder: { type: 'ByteLevel' },
      model: { type: 'BPE', vocab: { ...bytes, th: 256, the: 257, Ġthe: 258 }, merges: ['t h', 'th e', 'Ġ the'] },
    })
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), texts, (a, b) => {
        const text = wellFormed(`${a} the ${b}`)
        const { ids, offsets } = tokenizer.encode(text)
        expect(tokenizer.decode(ids)).toBe(text)
        expect([...tokenizer.encodeIds(text)]).toEqual(ids)
        for (const [start, end] of offsets) expect(end).toBeGreaterThan(start)
      }),
      { numRuns: 500 },
    )
  })
})
