// Damaged and malicious tokenizer files: a TunesmithError or a working tokenizer, never a crash, a hang or a huge
// allocation.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRandom, type Random, TunesmithError } from '../../src/core/index.ts'
import { loadTokenizer, Tokenizer } from '../../src/tokenizers/index.ts'
import { bertJson, byteLevelJson } from '../../src/tokenizers/legacy-files.ts'
import { sentencePieceJson } from '../../src/tokenizers/sentencepiece.ts'
import { isFull } from '../grid.ts'
import { fixture, type Json } from './rust-oracle.ts'

const PROBE = 'The quick brown fox, 123 naïve  <s> 日本 😀\n[MASK] \ud800'
const SLOW_MS = 3000

/** Builds and uses a tokenizer; false if that throws a TunesmithError. Other errors are test failures. */
const survives = (build: () => Json): boolean => {
  const started = performance.now()
  try {
    const tokenizer = new Tokenizer(build())
    const { ids } = tokenizer.encode(PROBE, { pair: 'pair' })
    const plain = tokenizer.encode(PROBE, { addSpecialTokens: false }).ids
    expect([...tokenizer.encodeIds(PROBE)]).toEqual(plain)
    expect(typeof tokenizer.decode(ids)).toBe('string')
    return true
  } catch (error) {
    if (!(error instanceof TunesmithError)) throw error
    expect(error.message.length).toBeLessThan(2000)
    return false
  } finally {
    expect(performance.now() - started).toBeLessThan(SLOW_MS)
  }
}

/** The file with a small vocabulary, so that thousands of copies are fast. */
const shrunk = (name: string): Json => {
  const json = JSON.parse(fixture(`${name}.json.gz`).toString()) as Json & { model: Json }
  const { model } = json
  if (Array.isArray(model.vocab)) model.vocab = model.vocab.slice(0, 120)
  else {
    const kept = Object.entries(model.vocab as Record<string, number>).filter(
      ([token, id]) => id < 300 || token.length < 3,
    )
    model.vocab = Object.fromEntries(kept)
    const has = (token: string) => Object.hasOwn(model.vocab as object, token)
    model.merges = (model.merges as [string, string][]).filter(([a, b]) => has(a) && has(b) && has(a + b)).slice(0, 60)
  }
  const normalizer = json.normalizer as { normalizers?: Json[] } | null
  // The real table is large; damage to it is tested separately below.
  if (normalizer?.normalizers)
    normalizer.normalizers = normalizer.normalizers.filter(({ type }) => type !== 'Precompiled')
  return json
}

const bertVocab = [
  '[PAD]',
  '[UNK]',
  '[CLS]',
  '[SEP]',
  '[MASK]',
  'the',
  'quick',
  '##s',
  'b',
  '##row',
  '##n',
  ',',
  '1',
  '##2',
  '##3',
].join('\n')
const SEEDS: Record<string, Json> = {
  llama2: shrunk('llama2'),
  llama3: shrunk('llama3'),
  qwen2: shrunk('qwen2'),
  t5: shrunk('t5'),
  bert: bertJson(bertVocab),
}

const ODD: unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1,
  1.5,
  1e308,
  2 ** 31,
  4294967295,
  '',
  ' ',
  'x',
  '\ud800',
  '\0',
  [],
  {},
  [[]],
  [null],
  [0, 1],
  ['a', 'b'],
  'Sequence',
  'Isolated',
  'a'.repeat(5000),
  '(',
  '[',
  '(a+)+$',
  '\\',
  '(?<=x*)',
  '(?i:É)',
  '\\p{Nope}',
  '[[:alpha:]&&[^a]]',
  { String: '' },
  { Regex: '' },
  { Regex: '(a|a)*b' },
  { Regex: '(x+x+)+y' },
  { Regex: '(((a{1000}){1000}){1000})' },
  { Regex: '(?:^|$)' },
  { type: 'Sequence' },
]

interface Place {
  holder: Record<string, unknown> | unknown[]
  key: string | number
}

const places = (value: unknown, found: Place[] = []): Place[] => {
  if (typeof value !== 'object' || value === null) return found
  const keys: (string | number)[] = Array.isArray(value) ? [...value.keys()] : Object.keys(value)
  for (const key of keys) {
    found.push({ holder: value as Place['holder'], key })
    places((value as Record<string, unknown>)[key as string], found)
  }
  return found
}

const mutate = (json: Json, random: Random): Json => {
  const copy = structuredClone(json)
  const all = places(copy)
  // Most of the damage goes outside the vocabulary, which has most of the fields.
  const outside = all.filter(({ holder }) => !Array.isArray(holder) && Object.keys(holder).length < 20)
  for (let n = 1 + random.integer(3); n > 0; n--) {
    const pool = random.float() < 0.7 ? outside : all
    const { holder, key } = pool[random.integer(pool.length)]
    const target = holder as Record<string | number, unknown>
    const kind = random.integer(5)
    if (kind === 0) delete target[key]
    else if (kind === 1) target[key] = ODD[random.integer(ODD.length)]
    else if (kind === 2) {
      const other = pool[random.integer(pool.length)]
      target[key] = structuredClone((other.holder as Record<string | number, unknown>)[other.key])
    } else if (kind === 3 && typeof target[key] === 'string') {
      const text = target[key]
      const at = random.integer(text.length + 1)
      target[key] = text.slice(0, at) + String.fromCharCode(random.integer(0x250)) + text.slice(at + random.integer(3))
    } else if (Array.isArray(target[key]))
      target[key] = (target[key] as unknown[]).concat(ODD[random.integer(ODD.length)])
    else target[key] = ODD[random.integer(ODD.length)]
  }
  // Files cannot hold values outside JSON, such as holes in lists.
  return JSON.parse(JSON.stringify(copy)) as Json
}

describe('damaged files', () => {
  const mutations = isFull ? 450 : 150
  it.each(Object.keys(SEEDS))(
    `throw a TunesmithError or load: ${mutations} mutations of the tokenizer.json of %s`,
    (name) => {
      const random = createRandom(`hostile ${name}`)
      let whole = 0
      for (let i = 0; i < mutations; i++) if (survives(() => mutate(SEEDS[name], random))) whole++
      // Both outcomes must occur, or the damage is too small or too large to test anything.
      expect(whole).toBeGreaterThan(mutations / 45)
      expect(whole).toBeLessThan(mutations * 0.98)
    },
  )

  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'tunesmith-hostile-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('throw a TunesmithError or load: 400 tokenizer.json with changed bytes', async () => {
    const random = createRandom('bytes')
    for (let i = 0; i < 400; i++) {
      const seeds = Object.values(SEEDS)
      const bytes = Buffer.from(JSON.stringify(seeds[random.integer(seeds.length)]))
      for (let n = random.integer(4); n >= 0; n--) bytes[random.integer(bytes.length)] = random.integer(256)
      const path = join(folder, 'tokenizer.json')
      writeFileSync(path, random.float() < 0.3 ? bytes.subarray(0, random.integer(bytes.length)) : bytes)
      try {
        expect(typeof (await loadTokenizer(path)).decode([1, 2, 3])).toBe('string')
      } catch (error) {
        if (!(error instanceof TunesmithError)) throw error
      }
    }
  })

  it('throw a TunesmithError or load: 300 vocab.txt and merges.txt', () => {
    const random = createRandom('vocab')
    const vocab = { a: 0, b: 1, ab: 2, '<|endoftext|>': 3, Ġ: 4, Ġa: 5 }
    for (let i = 0; i < 150; i++) {
      const lines = bertVocab.split('\n')
      const junk = ['', ' ', '\r', '[CLS]', '\0', 'a b', '##', '\ufffd', 'x'.repeat(10_000)]
      lines.splice(random.integer(lines.length), random.integer(3), junk[random.integer(junk.length)])
      survives(() => bertJson(random.shuffle(lines).join(random.float() < 0.2 ? '\r\n' : '\n')))
      const merges = ['#version: 0.2', 'a b', 'Ġ a', '', 'a', 'a b c', 'q z', ' ', 'a b'].filter(
        () => random.float() < 0.6,
      )
      survives(() => byteLevelJson(vocab, random.shuffle(merges).join('\n')))
    }
  })

  it('throw a TunesmithError or load: 300 SentencePiece models and rule tables', () => {
    const random = createRandom('sentencepiece')
    const t5 = JSON.parse(fixture('t5.json.gz').toString()) as {
      normalizer: { normalizers: { precompiled_charsmap: string }[] }
    }
    const table = Buffer.from(t5.normalizer.normalizers[0].precompiled_charsmap, 'base64')
    for (let i = 0; i < 250; i++) {
      const bytes = Buffer.from(fixture(i % 2 === 0 ? 'sp-bpe.model.gz' : 'sp-unigram.model.gz'))
      for (let n = random.integer(6); n >= 0; n--) bytes[random.integer(bytes.length)] = random.integer(256)
      survives(() => sentencePieceJson(random.float() < 0.2 ? bytes.subarray(0, random.integer(bytes.length)) : bytes))
    }
    for (let i = 0; i < 50; i++) {
      const bytes = Buffer.from(table)
      for (let n = 0; n < 200; n++) bytes[random.integer(bytes.length)] = random.integer(256)
      if (i % 3 === 0) bytes.writeUInt32LE(random.uint32(), 0)
      const normalizer = { type: 'Precompiled', precompiled_charsmap: bytes.toString('base64') }
      survives(() => ({ ...SEEDS.t5, normalizer }))
    }
  })

  it('throw a TunesmithError for deep nesting, huge ids and unsafe patterns', async () => {
    const deep = (depth: number): unknown =>
      JSON.parse(`${'{"type":"Sequence","normalizers":['.repeat(depth)}${']}'.repeat(depth)}`)
    const llama2 = SEEDS.llama2
    for (const depth of [20, 2000, 50_000]) expect(survives(() => ({ ...llama2, normalizer: deep(depth) }))).toBe(false)
    expect(
      survives(() => ({ ...llama2, model: { ...(llama2.model as Json), vocab: { a: 4294967295 }, merges: [] } })),
    ).toBe(false)
    expect(
      survives(() => ({
        ...llama2,
        model: { ...(llama2.model as Json), vocab: { a: 2147483647 }, merges: [], unk_token: null },
      })),
    ).toBe(true)
    const regex = (Regex: string) => ({
      ...llama2,
      pre_tokenizer: { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false },
    })
    for (const evil of [
      '(a+)+$',
      '(a|aa)+$',
      '(\\w*)*\\0',
      '([a-zA-Z]+)*!',
      `${'('.repeat(5000)}${')'.repeat(5000)}`,
      'a{1000000}',
      '\\1',
      '(?R)',
    ])
      expect(
        survives(() => regex(evil)),
        evil,
      ).toBe(false)
    for (const fine of ['\\p{L}+', '(?:\\p{L}\\p{M}*)+', '(?i:abc)|\\d++', '[^\\s]+', "(?:'[sS])|x"])
      expect(
        survives(() => regex(fine)),
        fine,
      ).toBe(true)
    await expect(loadTokenizer(join(folder, 'nothing'))).rejects.toThrow(TunesmithError)
    await expect(loadTokenizer(mkdtempSync(join(folder, 'empty-')))).rejects.toThrow(/tokenizer.json/)
    for (const odd of [null, [], 'x', 5, {}]) await expect(loadTokenizer(odd as Json)).rejects.toThrow(TunesmithError)
  })
})

describe('patterns that take too long', () => {
  const withSplit = (Regex: string) =>
    new Tokenizer({
      ...SEEDS.llama3,
      pre_tokenizer: { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false },
    })
  const withReplace = (Regex: string) =>
    new Tokenizer({ ...SEEDS.llama3, normalizer: { type: 'Replace', pattern: { Regex }, content: 'x' } })

  // Every way to use a pattern has the same limit of a second and more, so all of them have one pattern, and each other pattern has one of them.
  const uses = {
    split: (pattern: string, text: string) => withSplit(pattern).encode(text),
    'split into ids': (pattern: string, text: string) => withSplit(pattern).encodeIds(text),
    replace: (pattern: string, text: string) => withReplace(pattern).encodeIds(text),
  }
  type Use = keyof typeof uses

  it.each<[string, string, Use[]]>([
    ['hello (a|b|ab)*c', `hello ${'ab'.repeat(40)}`, ['split', 'split into ids', 'replace']],
    ...(isFull ? [['(ab)*(ab)*(ab)*c', 'ab'.repeat(3000), ['replace']] as [string, string, Use[]]] : []),
    [`${'x?'.repeat(30)}${'x'.repeat(30)}`, `${'x'.repeat(29)}y`.repeat(3), ['split']],
    ['a(\\R)*b', `a${'\r\n'.repeat(60)}`, ['split']],
    ['a+b', 'a'.repeat(100_000), ['split into ids']],
  ])('throw an error that names the pattern: %s', (pattern, text, used) => {
    for (const use of used)
      expect(() => uses[use](pattern, text), use).toThrow(
        /regular expression ".*" of `(pre_tokenizer|normalizer)\.pattern` takes more than \d/,
      )
    // The tokenizer stays usable for other texts.
    expect(withSplit(pattern).encode('1 2 3').length).toBeGreaterThan(0)
  })
})

describe('normalizers and decoders that expand text without limit', () => {
  const doubling = (count: number) =>
    Array.from({ length: count }, () => ({ type: 'Replace', pattern: { String: 'a' }, content: 'aa' }))
  const vocab = { type: 'WordLevel', vocab: { u: 0, a: 1 }, unk_token: 'u' }
  const normalizing = (normalizers: unknown[]) => ({ model: vocab, normalizer: { type: 'Sequence', normalizers } })

  it.each([14, 40])('throw an error that names the normalizer: %i times a->aa', (count) => {
    const tokenizer = new Tokenizer(normalizing(doubling(count)))
    const text = 'a'.repeat(40_000)
    for (const encode of [() => tokenizer.encode(text), () => tokenizer.encodeIds(text)])
      expect(encode).toThrow(/`normalizer\.normalizers\[\d+\]` expands a text of 40000 characters to more than \d+/)
  })

  it('throw an error for a regular expression, for a long replacement and for an added token', () => {
    const regex = doubling(40).map((one) => ({ ...one, pattern: { Regex: '$|a' } }))
    expect(() => new Tokenizer(normalizing(regex)).encode('aa')).toThrow(/expands a text of 2 characters/)
    const long = { type: 'Replace', pattern: { String: 'a' }, content: 'b'.repeat(100_000) }
    const tokenizer = new Tokenizer({ model: vocab, normalizer: long })
    for (const encode of [() => tokenizer.encode('a'.repeat(100)), () => tokenizer.encodeIds('a'.repeat(100))])
      expect(encode).toThrow(/`normalizer\.pattern` expands a text of 100 characters/)
    expect(tokenizer.encode('a').length).toBe(1)
    const added = [{ id: 2, content: 'aaa', special: false, normalized: true }]
    expect(() => new Tokenizer({ ...normalizing(doubling(40)), added_tokens: added })).toThrow(/normalizers\[\d+\]/)
  })

  it('throw an error that names the decoder', () => {
    const tokenizer = new Tokenizer({ model: vocab, decoder: { type: 'Sequence', decoders: doubling(40) } })
    expect(() => tokenizer.decode([1, 1])).toThrow(/`decoder\.decoders\[\d+\]` expands a text of 2 characters/)
  })

  it('do not include the largest expansion of Unicode normalization', () => {
    const tokenizer = new Tokenizer({ model: vocab, normalizer: { type: 'NFKD' } })
    expect(tokenizer.encode('\ufdfa'.repeat(100_000)).length).toBe(1)
  })
})
