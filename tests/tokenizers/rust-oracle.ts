// The Rust `tokenizers` package as reference for ids, offsets and text, and the tokenizers that the tests compare.
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { gunzipSync } from 'node:zlib'
import { Tokenizer } from '../../src/tokenizers/index.ts'
import { bertJson, byteLevelJson } from '../../src/tokenizers/legacy-files.ts'

export const DATA = new URL('../../../shared/data/', import.meta.url)
export const hasData = existsSync(DATA)
const fixtures = new URL('./fixtures/', import.meta.url)

interface RustEncoding {
  getIds(): number[]
  getTypeIds(): number[]
  getTokens(): string[]
  getOffsets(): [number, number][]
  getWordIds(): (number | null | undefined)[]
  getSpecialTokensMask(): number[]
  getAttentionMask(): number[]
  getOverflowing(): RustEncoding[]
}

interface RustTokenizer {
  encode(text: string, pair?: string | null, options?: { addSpecialTokens: boolean }): Promise<RustEncoding>
  encodeBatch(texts: string[], options?: { addSpecialTokens: boolean }): Promise<RustEncoding[]>
  decode(ids: number[], skipSpecialTokens: boolean): Promise<string>
  setTruncation(maxLength: number, options?: object): void
  setPadding(options?: object): void
  getVocabSize(withAdded: boolean): number
}

const { Tokenizer: Rust } = createRequire(import.meta.url)('tokenizers') as {
  Tokenizer: { fromString(json: string): RustTokenizer }
}

export type Json = Record<string, unknown>

export const fixture = (name: string): Buffer => gunzipSync(readFileSync(new URL(name, fixtures)))

const small = (name: string): Json => JSON.parse(fixture(`${name}.json.gz`).toString()) as Json

const data = (path: string): string => readFileSync(new URL(path, DATA), 'utf8')

/** The tokenizers of widely used models; the first three need the shared data. */
export const PIPELINES: Record<string, () => Json> = {
  ...(hasData
    ? {
        'bert-uncased': () => bertJson(data('vocab/bert_base_uncased_vocab.txt')),
        'bert-cased': () => bertJson(data('vocab/bert_base_cased_vocab.txt'), { lowercase: false }),
        gpt2: () => byteLevelJson(JSON.parse(data('vocab/gpt2/encoder.json')), data('vocab/gpt2/vocab.bpe')),
      }
    : {}),
  llama2: () => small('llama2'),
  llama3: () => small('llama3'),
  qwen2: () => small('qwen2'),
  t5: () => small('t5'),
}

export const both = (json: Json): { ours: Tokenizer; rust: RustTokenizer } => {
  const text = JSON.stringify(json)
  return { ours: new Tokenizer(JSON.parse(text)), rust: Rust.fromString(text) }
}

/** The fields to compare, from Rust's encoding. */
export const fromRust = (encoding: RustEncoding): Json => ({
  ids: encoding.getIds(),
  offsets: encoding.getOffsets(),
  typeIds: encoding.getTypeIds(),
  tokens: encoding.getTokens(),
  wordIds: encoding.getWordIds().map((id) => id ?? null),
  specialTokensMask: encoding.getSpecialTokensMask(),
  attentionMask: encoding.getAttentionMask(),
})

/** The fields to compare, from our encoding. */
export const fromOurs = (encoding: ReturnType<Tokenizer['encode']>): Json => {
  const { ids, offsets, typeIds, tokens, wordIds, specialTokensMask, attentionMask } = encoding
  return { ids, offsets, typeIds, tokens, wordIds, specialTokensMask, attentionMask }
}

/** Lines in many languages, and edge cases. */
export const LINES = [
  ...readFileSync(new URL('./languages.txt', import.meta.url), 'utf8').split('\n'),
  '',
  ' ',
  '  leading',
  'trailing  ',
  '\n\n x \n',
  'a\0b',
  'lone \ud800 surrogates \udc00',
  'a'.repeat(300),
  `${' '.repeat(300)}x`,
  '\r\n\r\n  a\r\n',
  "'S'ſ'LL'Re'vE'M'd",
  '日本'.repeat(100),
  Buffer.from('invalid \xff\xc3( utf-8 \xed\xa0\x80', 'latin1').toString('utf8'),
]
