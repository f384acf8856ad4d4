// Hand-written scanners against their regular expressions, the translation of Oniguruma syntax, time limits, the cache.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Tokenizer } from './index.ts'
import { compileRegex, PUBLISHED_PATTERNS, translateRegex } from './oniguruma.ts'
import { Pattern } from './pattern.ts'
import { GPT2_PATTERN, LLAMA3_PATTERN, QWEN2_PATTERN } from './pre-tokenizers/index.ts'
import { regexScanner, type Scanner, scannerOf } from './pre-tokenizers/scanner.ts'
import { hashUnits, WordCache } from './word-cache.ts'

const split = (scanner: Scanner, text: string): string[] => {
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

describe('hand-written scanners', () => {
  it.each([GPT2_PATTERN, LLAMA3_PATTERN, QWEN2_PATTERN])('split text like the regular expression %s', (pattern) => {
    const hand = scannerOf(new Pattern(pattern, { isLiteral: false, where: 'test' }))
    const slow = regexScanner(translateRegex(pattern, 'test'))
    expect(hand.limited).toBe(true)
    fc.assert(
      fc.property(texts, (text) => {
        expect(split(hand, text)).toEqual(split(slow, text))
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
  ])('translates %s', (pattern, text, expected) => {
    expect(found(pattern, text)).toEqual(expected)
  })

  it.each([
    '(',
    ')',
    '[',
    'a{2,1}',
    '*a',
    '\\1',
    '(?<n>a)\\k<n>',
    '\\p{Nope}',
    '(?~a)',
    '\\G',
    'x{9999}',
    '\\p{RGI_Emoji}',
  ])('throws for %s', (pattern) => {
    expect(() => translateRegex(pattern, 'place')).toThrow(/place/)
  })
})

describe('time limits of regular expressions', () => {
  const needsTimeLimit = (pattern: string) => compileRegex(pattern, 'test').needsTimeLimit

  it.each(Object.entries(PUBLISHED_PATTERNS))('are not needed for the pattern of %s', (_name, pattern) => {
    expect(needsTimeLimit(pattern)).toBe(false)
  })

  it.each([
    '\\p{N}{1,3}',
    ' {2,}',
    '\\s+',
    '[一-龥぀-ゟ゠-ヿ]+',
    "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+",
    '[0-9][0-9][0-9]',
    '(?i:abc)|\\d++',
    '[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+'.replace(' ?', ' ?+'),
  ])('are not needed for %s, which matches in linear time', (pattern) => {
    expect(needsTimeLimit(pattern)).toBe(false)
  })

  it.each([
    'hello (a|b|ab)*c',
    '(ab)*(ab)*(ab)*c',
    'a?a?a?a?aaaa',
    '(a|ab)(c|bcd)x',
    'a*b',
    '(?<=a*)b',
    '\\R*x',
    'a{2}{3}',
    '(?=\\w+;)x',
    '\\w+$',
  ])('are needed for %s', (pattern) => {
    expect(needsTimeLimit(pattern)).toBe(true)
  })

  it('give the same words as matching without a limit', () => {
    // Forms of published patterns that are not in the list of linear ones.
    for (const source of [
      `${PUBLISHED_PATTERNS.llama3}|x`,
      '(?:\\p{L}\\p{M}*)+',
      "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{M}&&[^\\p{Han}]]*[\\p{Ll}]+(?i:'s|'t)?|\\p{N}{1,3}",
      '(?=a)|b*c?',
    ]) {
      const pattern = new Pattern(source, { isLiteral: false, where: 'test' })
      expect(pattern.needsTimeLimit).toBe(true)
      const limited = scannerOf(pattern)
      const unlimited = regexScanner(pattern.regex)
      fc.assert(
        fc.property(texts, (text) => {
          expect(split(limited, text)).toEqual(split(unlimited, text))
        }),
        { numRuns: 100 },
      )
    }
  })
})

describe('WordCache', () => {
  it('returns the cached ids through growth, and nothing after clear', () => {
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
  it('of byte-level tokenizers restore every well-formed text', async () => {
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
        const text = `${a} the ${b}`.toWellFormed()
        const { ids, offsets } = tokenizer.encode(text)
        expect(tokenizer.decode(ids)).toBe(text)
        expect([...tokenizer.encodeIds(text)]).toEqual(ids)
        for (const [start, end] of offsets) expect(end).toBeGreaterThan(start)
      }),
      { numRuns: 500 },
    )
  })
})
