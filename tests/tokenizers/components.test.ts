// Every normalizer, pre-tokenizer, post-processor and decoder, with each of its settings, against the Rust package.
import { describe, expect, it } from 'vitest'
import { BYTE_ALPHABET } from '../../src/tokenizers/byte-level.ts'
import { both, fromOurs, fromRust, type Json, LINES } from './rust-oracle.ts'

// A model with some words and letters; all other text falls back to bytes.
const pieces = [
  '<unk>',
  ...Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`),
]
for (const word of [
  '▁',
  ' ',
  't',
  'h',
  'e',
  'th',
  'the',
  '▁t',
  '▁the',
  'a',
  'b',
  'n',
  'an',
  'é',
  'ü',
  ...BYTE_ALPHABET,
])
  if (!pieces.includes(word)) pieces.push(word)
const model: Json = {
  type: 'BPE',
  dropout: null,
  unk_token: '<unk>',
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: true,
  ignore_merges: false,
  vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
  merges: ['t h', 'th e', '▁ t', '▁ the', 'a n'],
}

const tokenizer = (parts: Json): Json => ({
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: null,
  model,
  ...parts,
})

const compare = async (json: Json, lines = LINES): Promise<number> => {
  const { ours, rust } = both(json)
  for (const line of lines) {
    const expected = await rust.encode(line, null, { addSpecialTokens: true })
    const encoding = ours.encode(line, { offsets: 'codePoints' })
    expect(fromOurs(encoding), JSON.stringify(line)).toEqual(fromRust(expected))
    expect([...ours.encodeIds(line)], `fast: ${JSON.stringify(line)}`).toEqual(
      ours.encode(line, { addSpecialTokens: false }).ids,
    )
    for (const skip of [true, false])
      expect(ours.decode(encoding.ids, { skipSpecialTokens: skip })).toBe(await rust.decode(expected.getIds(), skip))
  }
  return lines.length
}

const bert = (clean: boolean, han: boolean, accents: boolean | null, lower: boolean): Json => ({
  type: 'BertNormalizer',
  clean_text: clean,
  handle_chinese_chars: han,
  strip_accents: accents,
  lowercase: lower,
})
const sequence = (...normalizers: Json[]): Json => ({ type: 'Sequence', normalizers })
const replace = (pattern: Json, content: string): Json => ({ type: 'Replace', pattern, content })

const NORMALIZERS: Json[] = [
  ...['NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase', 'StripAccents', 'Nmt', 'ByteLevel'].map((type) => ({ type })),
  bert(true, true, null, true),
  bert(true, true, false, true),
  bert(false, true, true, false),
  bert(true, false, null, false),
  ...[true, false].flatMap((left) =>
    [true, false].map((right) => ({ type: 'Strip', strip_left: left, strip_right: right })),
  ),
  { type: 'Prepend', prepend: '▁' },
  replace({ String: ' ' }, '▁'),
  replace({ String: 'the' }, ''),
  replace({ Regex: ' {2,}' }, ' '),
  replace({ Regex: '\\s+' }, '▁'),
  replace({ Regex: '[0-9]' }, 'numb'),
  sequence(replace({ String: ' ' }, '▁'), { type: 'Prepend', prepend: '▁' }),
  sequence({ type: 'NFD' }, { type: 'Lowercase' }, { type: 'StripAccents' }),
  sequence(
    { type: 'NFKC' },
    { type: 'Strip', strip_left: true, strip_right: true },
    replace({ Regex: ' {2,}' }, ' '),
    replace({ String: ' ' }, '▁'),
  ),
  sequence({ type: 'Nmt' }, { type: 'NFKC' }, replace({ Regex: ' {2,}' }, '▁'), replace({ String: ' ' }, '▁')),
  sequence({ type: 'NFKD' }, replace({ String: 'é' }, 'e'), { type: 'NFC' }),
]

const split = (pattern: Json, behavior: string, invert = false): Json => ({ type: 'Split', pattern, behavior, invert })
const BEHAVIORS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous']
const metaspace = (scheme: string, splits: boolean): Json => ({
  type: 'Metaspace',
  replacement: '▁',
  prepend_scheme: scheme,
  split: splits,
})
const byteLevel = (prefix: boolean, regex: boolean): Json => ({
  type: 'ByteLevel',
  add_prefix_space: prefix,
  trim_offsets: true,
  use_regex: regex,
})
const pre = (...pretokenizers: Json[]): Json => ({ type: 'Sequence', pretokenizers })

const PRE_TOKENIZERS: Json[] = [
  ...['BertPreTokenizer', 'Whitespace', 'WhitespaceSplit'].map((type) => ({ type })),
  ...[true, false].flatMap((prefix) => [true, false].map((regex) => byteLevel(prefix, regex))),
  ...['first', 'never', 'always'].flatMap((scheme) => [true, false].map((splits) => metaspace(scheme, splits))),
  ...BEHAVIORS.flatMap((behavior) => [
    split({ String: ' ' }, behavior),
    split({ Regex: '\\p{L}+|\\d' }, behavior),
    split({ Regex: '\\p{L}+|\\d' }, behavior, true),
    split({ Regex: '(?i:the|[a-c]+)|\\p{Han}|[^\\s\\w]++' }, behavior),
    { type: 'Punctuation', behavior },
  ]),
  { type: 'Digits', individual_digits: true },
  { type: 'Digits', individual_digits: false },
  { type: 'CharDelimiterSplit', delimiter: 'e' },
  { type: 'UnicodeScripts' },
  { type: 'FixedLength', length: 3 },
  pre({ type: 'Digits', individual_digits: true }, byteLevel(false, true)),
  pre({ type: 'Digits', individual_digits: false }, byteLevel(true, true)),
  pre({ type: 'WhitespaceSplit' }, metaspace('always', true)),
  pre(
    { type: 'Whitespace' },
    { type: 'Punctuation', behavior: 'Isolated' },
    { type: 'Digits', individual_digits: true },
  ),
  pre(
    split({ Regex: '\\p{N}{1,3}' }, 'Isolated'),
    split({ Regex: '[一-龥぀-ゟ゠-ヿ]+' }, 'Isolated'),
    byteLevel(false, false),
  ),
]

const word = (name: string, id: number): [string, number] => [name, id]
const template: Json = {
  type: 'TemplateProcessing',
  single: [{ SpecialToken: { id: 'X', type_id: 0 } }, { Sequence: { id: 'A', type_id: 2 } }],
  pair: [
    { Sequence: { id: 'B', type_id: 1 } },
    { SpecialToken: { id: 'X', type_id: 3 } },
    { Sequence: { id: 'A', type_id: 0 } },
  ],
  special_tokens: { X: { id: 'X', ids: [3, 4], tokens: ['x', 'y'] } },
}
const roberta = (trims: boolean, prefix: boolean): Json => ({
  type: 'RobertaProcessing',
  sep: word('</s>', 5),
  cls: word('<s>', 6),
  trim_offsets: trims,
  add_prefix_space: prefix,
})
const POST_PROCESSORS: Json[] = [
  { type: 'BertProcessing', sep: word('[SEP]', 1), cls: word('[CLS]', 2) },
  ...[true, false].flatMap((trims) => [true, false].map((prefix) => roberta(trims, prefix))),
  { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
  { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  template,
  {
    type: 'Sequence',
    processors: [{ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }, template],
  },
]

const DECODERS: Json[] = [
  { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
  { type: 'WordPiece', prefix: '##', cleanup: true },
  { type: 'WordPiece', prefix: 't', cleanup: false },
  { type: 'BPEDecoder', suffix: 'e' },
  { type: 'ByteFallback' },
  { type: 'Fuse' },
  { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
  { type: 'Metaspace', replacement: '▁', prepend_scheme: 'never', split: true },
  { type: 'CTC', pad_token: '<unk>', word_delimiter_token: 'a', cleanup: true },
  { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
  {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
]

describe('components give the same encodings as the Rust package', () => {
  it.each(NORMALIZERS.map((part) => [JSON.stringify(part), part] as const))('normalizer %s', async (_name, part) => {
    expect(await compare(tokenizer({ normalizer: part }))).toBe(LINES.length)
    await compare(
      tokenizer({
        normalizer: part,
        pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: true },
      }),
    )
  })

  it.each(PRE_TOKENIZERS.map((part) => [JSON.stringify(part), part] as const))(
    'pre-tokenizer %s',
    async (_name, part) => {
      expect(await compare(tokenizer({ pre_tokenizer: part }))).toBe(LINES.length)
      await compare(tokenizer({ normalizer: { type: 'NFKC' }, pre_tokenizer: part }))
    },
  )

  it.each(POST_PROCESSORS.map((part) => [JSON.stringify(part), part] as const))(
    'post-processor %s',
    async (_name, part) => {
      const json = tokenizer({ pre_tokenizer: byteLevel(true, true), post_processor: part })
      await compare(json)
      const { ours, rust } = both(json)
      for (const [i, line] of LINES.entries()) {
        const pair = LINES[(i + 7) % LINES.length]
        for (const addSpecialTokens of [true, false])
          expect(fromOurs(ours.encode(line, { pair, addSpecialTokens, offsets: 'codePoints' }))).toEqual(
            fromRust(await rust.encode(line, pair, { addSpecialTokens })),
          )
      }
    },
  )

  it('pre-tokenizer UnicodeScripts on a sample of all code points', async () => {
    const json = tokenizer({ model: { type: 'WordLevel', vocab: { u: 0 }, unk_token: 'u' } })
    const { ours, rust } = both({ ...json, pre_tokenizer: { type: 'UnicodeScripts' }, decoder: null })
    // A prime stride, so that the sample has characters of every block.
    for (let start = 0; start < 0x110000; start += 0x8000) {
      const sample: string[] = []
      for (let code = start; code < start + 0x8000; code += 23)
        if (code < 0xd800 || code > 0xdfff)
          for (const before of ['a', 'я']) sample.push(`${before}${String.fromCodePoint(code)}漢`)
      const expected = (await rust.encodeBatch(sample, { addSpecialTokens: false })).map((one) => one.getIds().length)
      expect(sample.map((text) => ours.encode(text, { addSpecialTokens: false }).length)).toEqual(expected)
    }
  })

  it.each(DECODERS.map((part) => [JSON.stringify(part), part] as const))('decoder %s', async (_name, part) => {
    await compare(tokenizer({ decoder: part }))
  })

  it.each([
    { fuse_unk: true, byte_fallback: false },
    { fuse_unk: false, byte_fallback: false },
    { continuing_subword_prefix: '##', byte_fallback: false },
    { end_of_word_suffix: '</w>', byte_fallback: false },
    { ignore_merges: true },
  ])('BPE with %j', async (options) => {
    await compare(
      tokenizer({ model: { ...model, merges: options.continuing_subword_prefix ? [] : model.merges, ...options } }),
    )
    await compare(
      tokenizer({
        pre_tokenizer: { type: 'Whitespace' },
        model: { ...model, merges: options.continuing_subword_prefix ? [] : model.merges, ...options },
      }),
    )
  })

  it('models WordLevel and Unigram', async () => {
    const vocab = Object.fromEntries(['<unk>', 'the', 'a', 'fox', '.', 'Größe'].map((token, id) => [token, id]))
    await compare(
      tokenizer({ pre_tokenizer: { type: 'Whitespace' }, model: { type: 'WordLevel', vocab, unk_token: '<unk>' } }),
    )
    const scored = ['<unk>', 't', 'h', 'e', 'th', 'the', '▁', '▁the', 'ü', 'a', '😀', '日本', '日'].map((token, i) => [
      token,
      -1 - ((i * 7) % 5),
    ])
    for (const byte_fallback of [false, true]) {
      const bytes = byte_fallback ? pieces.slice(1, 257).map((piece) => [piece, -9]) : []
      const unigram = { type: 'Unigram', unk_id: 0, vocab: [...scored, ...bytes], byte_fallback }
      await compare(tokenizer({ model: unigram }))
      await compare(tokenizer({ pre_tokenizer: metaspace('always', true), model: unigram }))
    }
  })

  const added = (content: string, options: Json = {}): Json => ({
    id: 0,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: true,
    special: false,
    ...options,
  })

  it.each([null, { type: 'Lowercase' }, { type: 'Prepend', prepend: '▁' }, { type: 'NFKC' }])(
    'added tokens under %j',
    async (normalizer) => {
      const added_tokens = [
        added('<s>', { special: true, normalized: false }),
        added('<mask>', { special: true, normalized: false, lstrip: true }),
        added('[SEP]', { special: true, normalized: false, rstrip: true }),
        added('quick', { single_word: true }),
        added('Word', { normalized: true }),
        added('ING', { normalized: true }),
        added('text', { normalized: false, single_word: true, lstrip: true, rstrip: true }),
        added('＃', { normalized: true }),
        added('special <', { normalized: false }),
      ]
      const lines = [
        ...LINES,
        'a <mask>  <mask> b',
        '  [SEP]   [SEP] x',
        'quickly quick-quick',
        'WORDING wording WORD',
        'text texts text',
        'x＃y #',
        '<s><s> <s>text<s>',
      ]
      for (const pre_tokenizer of [null, byteLevel(false, true), metaspace('first', true)])
        await compare(tokenizer({ added_tokens, normalizer, pre_tokenizer, decoder: { type: 'Fuse' } }), lines)
    },
  )
})
