// Patterns against the engine's regular expressions, and formats against zod and Node: random texts of a grammar are valid.
import { isIPv4, isIPv6 } from 'node:net'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createRandom, type Random } from '../../core/index.ts'
import { jsonSchemaGrammar } from './json-schema.ts'
import { Machine, type State } from './nodes.ts'
import { formatPatterns } from './strings.ts'

const machineOf = (schema: object) => new Machine(jsonSchemaGrammar({ type: 'string', ...schema }, 'schema'))

const accepts = (machine: Machine, text: string): boolean => {
  let state: State | undefined = machine.start
  for (const byte of Buffer.from(JSON.stringify(text), 'utf8')) state = state && machine.next(state, byte)
  return state?.ends ?? false
}

/** A random text of a grammar; every place has a way on, or is an end. */
const write = (machine: Machine, random: Random): string => {
  const bytes: number[] = []
  for (let state = machine.start; !state.ends; ) {
    const next = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => machine.next(state, byte))
    expect(next.length).toBeGreaterThan(0)
    // A quote ends the text: taken where it may come after some characters.
    const byte = next.includes(0x22) && bytes.length > 12 ? 0x22 : next[Math.floor(random.float() * next.length)]
    bytes.push(byte)
    state = machine.next(state, byte) as State
  }
  return JSON.parse(Buffer.from(bytes).toString('utf8')) as string
}

describe('patterns', () => {
  it.each([
    ['^ab*c?$'],
    ['b'],
    ['^a|b$'],
    ['(?:^a|b)c*$'],
    ['^(?!.*aa)[a-c]{2,4}$'],
    ['^(?=.*b)(?=.*1)[^c]*$'],
    ['^(a(?=b)|b){1,5}?c{0}$'],
    ['^(?:a(?!b)|b){1,3}$'],
    ['^\\d\\w\\s?$'],
    ['^[^\\d\\sa-b]+$'],
    ['^(?<name>[a1]){2}\\x61?\\u0062$'],
    ['^.$'],
    ['^[\\s\\S]$'],
    ['^\\p{L}\\P{L}$'],
    ['^(?:é|🙂{2})$'],
    ['^[a\\-1.]{2}\\.?$'],
    ['\\\\|"'],
    ['^$'],
    ['^(?:a*){2,}(?:|b)$'],
    ['^\\ud83d\\ude42$'],
    ['^a$|^b(?!$)'],
  ])('match the texts that the engine matches: %s', (pattern) => {
    const machine = machineOf({ pattern })
    const matcher = new RegExp(pattern, 'u')
    const random = createRandom(pattern)
    const alphabet = ['a', 'a', 'b', 'b', 'c', '1', ' ', 'é', '🙂', '\n', '-', '.', '"', '\\', '\u0007', '\u2028']
    const words = ['', ...alphabet, 'ab', 'aab', 'ba', 'b1', '1a', '1a ', 'é1', '🙂🙂', 'a1b', 'aabb', 'bbc', 'abc']
    for (let i = 0; i < 1500; i++)
      words.push(Array.from({ length: i % 6 }, () => alphabet[Math.floor(random.float() * alphabet.length)]).join(''))
    for (const word of words) expect([word, accepts(machine, word)]).toEqual([word, matcher.test(word)])
    for (let i = 0; i < 5; i++) expect(write(machine, random)).toMatch(matcher)
  })

  it('are held with lengths, several of them, and formats', () => {
    const both = machineOf({ pattern: '^a', minLength: 3, maxLength: 4 })
    expect(['ab', 'abc', 'ab🙂d', 'abcde', 'bcd'].map((text) => accepts(both, text))).toEqual([
      ...[false, true, true, false, false],
    ])
    const long = machineOf({ format: 'uri', minLength: 1, maxLength: 2083 })
    expect(['https://a.example/x', 'x', `http://a/${'b'.repeat(3000)}`].map((text) => accepts(long, text))).toEqual([
      ...[true, false, false],
    ])
    // As zod writes several patterns.
    const several = machineOf({ allOf: [{ pattern: '^a' }, { pattern: 'b$' }], maxLength: 3 })
    expect(['ab', 'axb', 'a', 'axxb'].map((text) => accepts(several, text))).toEqual([true, true, false, false])
    const work = machineOf({ format: 'email', pattern: '@work\\.example$' })
    expect(['a@work.example', 'a@b.example', '@work.example'].map((text) => accepts(work, text))).toEqual([
      ...[true, false, false],
    ])
    const own = machineOf({ format: 'starts_with', pattern: '^a\\.b.*' })
    expect(accepts(own, 'a.bc')).toBe(true)
  })

  it.each<[object, RegExp]>([
    [{ pattern: '(a)\\1' }, /`schema.pattern` is not supported: it has "\\\\1", a reference to a group/],
    [{ pattern: '\\bword' }, /"\\\\b", which a grammar cannot hold/],
    [{ pattern: '(?<=a)b' }, /"\(\?<=", which/],
    [{ pattern: 'a*^b' }, /`\^` after a part that may be empty/],
    [{ pattern: '(?:a(?=b)|b)*$' }, /repeats a part with an assertion/],
    [{ pattern: '(' }, /no regular expression of ECMAScript/],
    [{ pattern: 'a{20000}' }, /more than 10000 times/],
    [{ pattern: '(a|b)*a(a|b){20}' }, /too many states|more than a second/],
    [{ pattern: '^((a{1,100}){1,100}){1,100}$' }, /`schema` is not supported: the schema takes more than a second/],
    [{ pattern: `^${[...'abcdefghijklmn'].map((one) => `(?=.*${one})`).join('')}.*$` }, /takes more than a second/],
    [{ pattern: 3 }, /Expected a text for `schema.pattern`, got 3/],
    [{ pattern: '^a$', minLength: 2 }, /No text follows all that `schema` says/],
    [{ pattern: '^abc$', maxLength: 2 }, /No text follows/],
    [{ format: 'ipv4', pattern: 'x' }, /No text follows/],
    [{ format: 'jwt' }, /`schema.format` "jwt" is not supported without `pattern`.*Known formats are date, time/],
    [{ contentEncoding: 'base64' }, /`schema.contentEncoding` "base64" is not supported without `pattern`/],
    [{ allOf: [{ pattern: 'a' }, { type: 'integer' }] }, /Expected the type string for `schema.allOf\[1\]`/],
  ])('are refused where they cannot be held: %o', (schema, message) => {
    expect(() => machineOf(schema)).toThrow(message)
  })
})

/** What zod reads of each format, and zod's own JSON schema of it. */
const ofZod = {
  date: z.iso.date(),
  'date-time': z.iso.datetime({ offset: true }),
  duration: z.iso.duration(),
  email: z.email(),
  hostname: z.hostname(),
  uri: z.url(),
  ipv4: z.ipv4(),
  ipv6: z.ipv6(),
  uuid: z.uuid(),
  uuid4: z.uuid({ version: 'v4' }),
}

describe('formats', () => {
  it.each(Object.keys(formatPatterns))('are those of their standards: %s', (format) => {
    const random = createRandom(format)
    const checks: Record<string, (text: string) => boolean> = {
      time: (text) => !Number.isNaN(Date.parse(`2024-02-29T${text}`)),
      date: (text) => new Date(text).toISOString().startsWith(text),
      'date-time': (text) => !Number.isNaN(Date.parse(text)),
      uri: (text) => URL.canParse(text),
      ipv4: isIPv4,
      ipv6: isIPv6,
      ...Object.fromEntries(
        ['email', 'hostname', 'duration', 'uuid', 'uuid4'].map((name) => [name, (text: string) => text.length < 254]),
      ),
    }
    const machine = machineOf({ format })
    const texts = Array.from({ length: 60 }, () => write(machine, random))
    for (const text of texts) expect([text, checks[format](text)]).toEqual([text, true])
    const schema = ofZod[format as keyof typeof ofZod] as z.ZodType | undefined
    for (const text of texts) expect(schema?.safeParse(text).error).toBeUndefined()
  })

  it('are held together with the patterns that zod writes beside them', () => {
    for (const schema of [...Object.values(ofZod), z.iso.datetime(), z.iso.time(), z.base64(), z.ulid(), z.e164()]) {
      const machine = machineOf(z.toJSONSchema(schema))
      const random = createRandom('zod')
      for (let i = 0; i < 10; i++) expect(schema.safeParse(write(machine, random)).error).toBeUndefined()
    }
  })

  it.each<[string, string[], string[]]>([
    ['date', ['2024-02-29', '1999-12-31'], ['2023-02-29', '0000-01-01', '2024-13-01', '2024-04-31']],
    ['time', ['23:59:59Z', '01:02:03.5+02:00'], ['24:00:00Z', '01:02:03', '1:2:3Z']],
    ['duration', ['P1Y2M3DT4H5M6S', 'PT5M', 'P2W'], ['P', 'PT', 'P1W1D', 'PT1H1S', 'P1S']],
    [
      'email',
      ['a.b+c@mail-1.example.org', `a@${'b'.repeat(63)}.org`, `a@b.${'c'.repeat(40)}.d.org`],
      ['a..b@c.org', '.a@c.org', 'a@c', 'a@-c.org'],
    ],
    [
      'hostname',
      ['localhost', 'db-01-eu.example.com', `${'a'.repeat(63)}.${'b-'.repeat(31)}b.com`],
      [`${'a'.repeat(64)}.com`, '-a.com', 'a-.com', 'a..b', '1.2.3.4', ''],
    ],
    ['ipv6', ['::', '::1', 'fe80::1:2', '1:2:3:4:5:6:7:8'], ['1::2::3', '1:2:3:4:5:6:7', ':1', '12345::']],
    [
      'uri',
      [
        'https://a.example:80/b/c?d=e#f',
        'wss://a.example/b',
        'ftp://a.example/b.txt',
        'file:///tmp/a.txt',
        'mailto:a@b.example?subject=c',
        'urn:isbn:0451450523',
        's3://bucket/key',
        'git+ssh://host.example/a.git',
        'tel:+1-201-555-0123',
      ],
      ['a.example', 'https://', 'https:a', 'https://a b/', 'http://1.2.3.999/', 'ws:1.2.3.999', 'file:', '1a:b', 'a'],
    ],
  ])('take and refuse: %s', (format, good, bad) => {
    const machine = machineOf({ format })
    for (const text of good) expect([text, accepts(machine, text)]).toEqual([text, true])
    for (const text of bad) expect([text, accepts(machine, text)]).toEqual([text, false])
  })
})
