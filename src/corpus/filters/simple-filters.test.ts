// length, characters, lines, url and personal-data, each rule by hand.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { characterRepetition } from './characters.ts'
import { createFilter, type FilterDecision, type FilterType, filters } from './index.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'filters-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const apply = async (type: FilterType, text: string, options: object = {}, metadata = {}): Promise<FilterDecision> =>
  (await createFilter(filters[type], options, type)).apply({ id: '1', text, metadata })

const reason = async (
  type: FilterType,
  text: string,
  options: object = {},
  metadata = {},
): Promise<string | undefined> => {
  const decision = await apply(type, text, options, metadata)
  return decision.keep ? undefined : decision.reason
}

describe('length', () => {
  it('counts code points and words', async () => {
    expect(await reason('length', 'x'.repeat(199))).toBe('too-few-characters')
    expect(await reason('length', 'x'.repeat(200))).toBeUndefined()
    expect(await reason('length', '😀'.repeat(199))).toBe('too-few-characters')
    expect(await reason('length', 'ab cd', { minCharacters: 0, maxCharacters: 4 })).toBe('too-many-characters')
    expect(await reason('length', ' ab  cd ', { minCharacters: 0, minWords: 3 })).toBe('too-few-words')
    expect(await reason('length', ' ab  cd ', { minCharacters: 0, maxWords: 1 })).toBe('too-many-words')
  })
  it('rejects bounds that drop everything', async () => {
    await expect(apply('length', '', { minCharacters: 10, maxCharacters: 5 })).rejects.toThrow(/maxCharacters/)
  })
})

describe('characters', () => {
  const prose = 'The quick brown fox jumps over the lazy dog while seven wizards box on. '
  it('drops each kind of noise', async () => {
    expect(await reason('characters', prose)).toBeUndefined()
    expect(await reason('characters', '')).toBe('empty')
    expect(await reason('characters', `abcdef${'!?$%'.repeat(1)}`)).toBeUndefined()
    expect(await reason('characters', 'abcdef!?$%+')).toBe('special')
    expect(await reason('characters', 'abc!?$%+-*/=&', { maxSpecial: 1 })).toBe('alphanumeric')
    expect(await reason('characters', `${prose}\ufffd`, { maxReplacement: 0.01 })).toBe('replacement')
    expect(await reason('characters', 'ALL OF IT in capitals', { maxUppercase: 0.3 })).toBe('uppercase')
    expect(await reason('characters', prose.repeat(20))).toBe('repetition')
  })
  it('measures repetition as ROOTS does', () => {
    // "abababab" by pairs: ab 4, ba 3; of 2 different ones √2 → 1 counts: 4 of 7.
    expect(characterRepetition('abababab', 2)).toBeCloseTo(4 / 7)
    // Pairs ab bc ca ab bc cd: ab 2, bc 2, two occur once; √4 = 2 count: 4 of 6.
    expect(characterRepetition('abcabcd', 2)).toBeCloseTo(4 / 6)
    expect(characterRepetition('abcdefgh', 2)).toBe(0)
    expect(characterRepetition('ab', 3)).toBe(0)
  })
  it('measures repetition like a slow count with strings', () => {
    const text = Array.from({ length: 4000 }, (_, i) => 'abcdefg'[(i * i * 7 + (i >> 3)) % 7]).join('')
    for (const n of [1, 2, 5, 10]) {
      const counts = new Map<string, number>()
      for (let i = 0; i + n <= text.length; i++) {
        const gram = text.slice(i, i + n)
        counts.set(gram, (counts.get(gram) ?? 0) + 1)
      }
      const sorted = [...counts.values()].sort((a, b) => b - a)
      const top = Math.min(Math.floor(Math.sqrt(sorted.length)), sorted.filter((count) => count > 1).length)
      const expected = sorted.slice(0, top).reduce((a, b) => a + b, 0) / (text.length - n + 1)
      expect(characterRepetition(text, n)).toBeCloseTo(expected, 12)
    }
  })
})

describe('lines', () => {
  const body = Array.from({ length: 40 }, (_, i) => `This is sentence number ${i} of a body of text.`).join('\n')
  it.each([
    ['BREAKING NEWS FROM THE CITY', true],
    ['Breaking news from the city', false],
    ['12.345 | 6,789', true],
    ['In 1984 it was', false],
    ['3 likes', true],
    ['1.2K views', true],
    ['3 likes were given to it', false],
    ['Home', true],
    ['Sign in to go on', true],
    ['Continue reading…', true],
    ['2 items in your cart', true],
    ['We read more books than anyone else in this whole wide town', false],
  ])('%s', async (line, cut) => {
    const decision = await apply('lines', `${body}\n${line}`)
    expect(decision).toEqual(cut ? { keep: true, text: body } : { keep: true })
  })
  it('drops documents where cut lines weigh more than 5 % of the words', async () => {
    // 40 × 10 words and n: n / (400 + n) passes 0.05 at 22.
    const menu = (words: number) => Array.from({ length: words }, (_, i) => `Item${i}`).join('\n')
    expect(await reason('lines', `${body}\n${menu(21)}`)).toBeUndefined()
    expect(await reason('lines', `${body}\n${menu(22)}`)).toBe('removed-words')
    expect(await reason('lines', '\n \n')).toBe('empty')
  })
  it('bounds the number and length of lines when told', async () => {
    expect(await reason('lines', body, { minLines: 41 })).toBe('too-few-lines')
    expect(await reason('lines', body, { minMeanLength: 60 })).toBe('lines-too-short')
    expect(await reason('lines', body, { maxMeanLength: 20 })).toBe('lines-too-long')
    expect(await reason('lines', `${body} ${'and so on '.repeat(100)}`, { maxLength: 1000 })).toBe('line-too-long')
  })
})

describe('url', () => {
  const at = (address: unknown, options: object) => reason('url', '', options, { url: address })
  it('drops listed domains with their subdomains', async () => {
    const options = { domains: ['bad.example', 'sub.mixed.example'] }
    expect(await at('https://bad.example/a', options)).toBe('domain')
    expect(await at('http://user@WWW.bad.example:8080/a?b', options)).toBe('domain')
    expect(await at('bad.example', options)).toBe('domain')
    expect(await at('https://notbad.example/a', options)).toBeUndefined()
    expect(await at('https://good.example/bad.example', options)).toBeUndefined()
    expect(await at('https://sub.mixed.example', options)).toBe('domain')
    expect(await at('https://mixed.example', options)).toBeUndefined()
  })
  it('drops by address, words, soft words and parts of words', async () => {
    expect(await at('https://a.example/x', { urls: ['https://a.example/x'] })).toBe('url')
    expect(await at('https://a.example/Casino-games', { words: ['casino'] })).toBe('word')
    expect(await at('https://a.example/casinos', { words: ['casino'] })).toBeUndefined()
    expect(await at('https://a.example/free/free', { softWords: ['free', 'win'] })).toBeUndefined()
    expect(await at('https://a.example/free/win', { softWords: ['free', 'win'] })).toBe('soft-words')
    expect(await at('https://a.example/my-cas/inos', { subwords: ['casino'] })).toBe('subword')
  })
  it('keeps documents without an address unless told', async () => {
    expect(await at(undefined, { domains: ['a'] })).toBeUndefined()
    expect(await at(undefined, { missing: 'drop' })).toBe('missing-url')
    expect(await at(17, { missing: 'drop' })).toBe('missing-url')
  })
  it('reads lists from plain and gzip files', async () => {
    writeFileSync(join(folder, 'domains.txt.gz'), gzipSync('# list\nbad.example\r\n'))
    writeFileSync(join(folder, 'words.txt'), 'casino\n')
    const options = { domainsFile: join(folder, 'domains.txt.gz'), wordsFile: join(folder, 'words.txt') }
    expect(await at('https://x.bad.example', options)).toBe('domain')
    expect(await at('https://a.example/casino', options)).toBe('word')
    writeFileSync(join(folder, 'broken.gz'), gzipSync('x'.repeat(1000)).subarray(0, 15))
    await expect(at('a', { domainsFile: join(folder, 'broken.gz') })).rejects.toThrow(/intact gzip/)
    writeFileSync(join(folder, 'long.txt'), `ok\n${'x'.repeat(5000)}`)
    await expect(at('a', { domainsFile: join(folder, 'long.txt') })).rejects.toThrow(/long\.txt:2/)
  })
})

describe('personal data', () => {
  const masked = async (text: string, options: object = {}) => {
    const decision = await apply('personal-data', text, options)
    return decision.keep ? (decision.text ?? text) : 'dropped'
  }
  it.each([
    ['Write to jane.doe+x@mail.example.org, please.', 'Write to email@example.com, please.'],
    ['a@b.co c@d.org e@f.net', 'email@example.com firstname.lastname@example.org email@example.com'],
    ['x@[8.8.8.8]', 'email@example.com'],
    ['not@an address, @handle, a@b', 'not@an address, @handle, a@b'],
    ['at 8.8.8.8 now', 'at 192.0.2.1 now'],
    ['at 192.168.1.1, 10.0.0.1, 127.0.0.1', 'at 192.168.1.1, 10.0.0.1, 127.0.0.1'],
    ['at 2606:4700:4700::1111 now', 'at 2001:db8::1 now'],
    ['at 12:30:45, std::vector, fe80::1', 'at 12:30:45, std::vector, fe80::1'],
    ['call (212) 555-7890 or 212.555.7890', 'call (555) 555-0100 or (555) 555-0100'],
    ['call +44 20 7946 0958 now', 'call (555) 555-0100 now'],
    ['in 2019-2020, 1234567890123, 12-34', 'in 2019-2020, 1234567890123, 12-34'],
    ['pi is 3.1415926535', 'pi is 3.1415926535'],
  ])('%s', async (text, expected) => expect(await masked(text)).toBe(expected))
  it('masks what it is told to', async () => {
    const text = 'a@b.co 8.8.8.8 10.0.0.1 (212) 555-7890'
    expect(await masked(text, { emails: false, ips: false, phones: false })).toBe(text)
    expect(
      await masked(text, {
        emailReplacements: ['X'],
        ipv4Replacements: ['Y', 'Z'],
        publicIpsOnly: false,
        phones: false,
      }),
    ).toBe('X Y Z (212) 555-7890')
  })
  it('counts masked items', async () => {
    expect(await apply('personal-data', 'a@b.co, c@d.org')).toMatchObject({
      metadata: { maskedPersonalData: { emails: 2 } },
    })
  })
  it('stays fast on hostile text', async () => {
    const started = process.cpuUsage().user
    for (const text of [
      'a-'.repeat(300_000),
      'a.'.repeat(300_000),
      '@'.repeat(500_000),
      'a@'.repeat(300_000),
      '1.'.repeat(300_000),
      '1 '.repeat(300_000),
      ':'.repeat(500_000),
      `${'a.a-'.repeat(100_000)}@`,
      '+1'.repeat(300_000),
    ]) {
      await masked(text)
    }
    expect((process.cpuUsage().user - started) / 1e6).toBeLessThan(20)
  })
})
