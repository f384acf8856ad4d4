// The metadata of a tokenizer: byte-level BPE, SentencePiece's BPE, WordPiece or Unigram. llama.cpp knows pre-tokenizers of BPE by
// name: the name is chosen by the structure of tokenizer.json, and ids are compared when the file is read back.
import { ggufNormalizerKey, ggufPreTokenizer, type ModelTokenizer } from '../../checkpoint/index.ts'
import { ConfigError } from '../../core/index.ts'
import { readNormalizer, scoredMerges, WHOLE_SEGMENT } from '../../tokenizers/index.ts'
import type { ExportSource } from '../export-target.ts'
import { compileCharsmap } from './charsmap.ts'
import { count, flag, floats, type GgufField, integers, octets, text } from './gguf-file.ts'

type JsonObject = Record<string, unknown>

const kinds = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const

const refuse = (what: string): never => {
  throw new ConfigError(
    `Expected a tokenizer that llama.cpp has for \`gguf\`, got ${what}. Export to merged instead, or train a byte-level BPE tokenizer.`,
  )
}

/** Name of the pre-tokenizer of BPE. @throws ConfigError for a tokenizer that GGUF cannot express */
const preTokenizerName = (json: JsonObject): string => {
  const normalizer = json.normalizer as JsonObject | null | undefined
  // Qwen's tokenizers normalise to NFC, and llama.cpp leaves that out, too.
  if (normalizer && normalizer.type !== 'NFC') return refuse(`one with the normalizer ${String(normalizer.type)}`)
  return (
    ggufPreTokenizer(json) ??
    refuse(`a split that no name of \`tokenizer.ggml.pre\` has: ${JSON.stringify(json.pre_tokenizer)}`)
  )
}

const mergesOf = (model: JsonObject): string[] =>
  (model.merges as (string | [string, string])[]).map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')))

/** A kind of tokenizer in GGUF. */
interface Kind {
  /** Fields beside tokens, their types and roles. @throws ConfigError for what GGUF cannot express */
  fields(json: JsonObject, tokenizer: ModelTokenizer, vocabSize: number): [string, GgufField][]
  /** Whether the unknown token has a type of its own. */
  marksUnknown?: boolean
  /** Type of a token that was not added (default: normal). */
  type?(token: string): number
  token?(token: string, type: number): string
}

/** Which special tokens surround a text. */
const frameOf = (tokenizer: ModelTokenizer): { first?: number; last?: number } => {
  const plain = tokenizer.encode('a', { addSpecialTokens: false }).ids
  const framed = tokenizer.encode('a').ids
  const extra = framed.length - plain.length
  const first = extra > 0 && framed[0] !== plain[0] ? framed[0] : undefined
  const last = extra > (first === undefined ? 0 : 1) ? framed.at(-1) : undefined
  return { first, last }
}

/** The token that llama.cpp adds before each text, as the files say; undefined for none. */
export const startTokenOf = (tokenizer: ModelTokenizer): string | undefined => {
  const { first } = frameOf(tokenizer)
  const { bos } = tokenizer.special
  return first !== undefined && first === (bos?.id ?? first) ? tokenizer.idToToken(first) : undefined
}

/** llama.cpp knows the tokens around a text as start and end, which BERT's tokens are where there are no others. */
const frameFields = (tokenizer: ModelTokenizer): [string, GgufField][] => {
  const { first, last } = frameOf(tokenizer)
  const { bos, eos } = tokenizer.special
  const framed = (role: string, own: { id: number } | undefined, id: number | undefined): [string, GgufField][] => {
    const adds = flag(id !== undefined && id === (own?.id ?? id))
    const named: [string, GgufField][] =
      own === undefined && id !== undefined ? [[`tokenizer.ggml.${role}_token_id`, count(id)]] : []
    return [...named, [`tokenizer.ggml.add_${role}_token`, adds]]
  }
  return [...framed('bos', bos, first), ...framed('eos', eos, last)]
}

const byteLevel: Kind = {
  fields: (json, tokenizer) => [
    ['tokenizer.ggml.model', text('gpt2')],
    ['tokenizer.ggml.pre', text(preTokenizerName(json))],
    ['tokenizer.ggml.merges', text(mergesOf(json.model as JsonObject))],
    ...frameFields(tokenizer),
    ['tokenizer.ggml.add_space_prefix', flag(false)],
  ],
}

/** Whether SentencePiece's BPE has a space before each text. @throws ConfigError where spaces are other than llama.cpp's */
const hasPrefix = ({ normalizer, pre_tokenizer: split }: JsonObject): boolean => {
  const rules = partsOf(normalizer)
  const marks = ({ type, pattern, content }: JsonObject) =>
    type === 'Replace' && (pattern as JsonObject).String === ' ' && content === '▁'
  const prepends = ({ type, prepend }: JsonObject) => type === 'Prepend' && prepend === '▁'
  const parts = partsOf(split)
  if (parts.length === 0 && rules.length === 1 && marks(rules[0])) return false
  if (parts.length === 0 && rules.length === 2 && prepends(rules[0]) && marks(rules[1])) return true
  const [{ type, prepend_scheme: scheme, split: splits } = {} as JsonObject] = parts
  if (parts.length === 1 && rules.length === 0 && type === 'Metaspace' && scheme === 'never' && splits === false)
    return false
  return refuse(`SentencePiece's BPE with the normalizer ${JSON.stringify(normalizer ?? null)}`)
}

/** The merges in groups of those that make one token. */
const groupsOf = (merges: readonly (readonly [string, string])[]): string => {
  const groups: [string, string[]][] = []
  for (const [left, right] of merges) {
    const last = groups.at(-1)
    if (last !== undefined && last[0] === left + right) last[1].push(left)
    else groups.push([left + right, [left]])
  }
  return JSON.stringify(groups.map(([token, sides]) => [token, sides.sort()]))
}

const isByte = (token: string): boolean => /^<0x[0-9A-F]{2}>$/.test(token)

/** SentencePiece's BPE: llama.cpp merges by the score of the token that a merge makes, tokenizer.json by the order of the merges. */
const sentencePiece: Kind = {
  marksUnknown: true,
  type: (token) => (isByte(token) ? kinds.byte : kinds.normal),
  fields: (json, tokenizer, vocabSize) => {
    const prefixed = hasPrefix(json)
    const merges = mergesOf(json.model as JsonObject).map((merge): [string, string] => {
      const middle = merge.indexOf(' ', 1)
      return [merge.slice(0, middle), merge.slice(middle + 1)]
    })
    const ranks = new Map<string, number>()
    for (const sides of merges) {
      const token = sides.join('')
      if (!ranks.has(token)) ranks.set(token, -ranks.size)
    }
    const added = new Set(tokenizer.addedTokens.map(({ id }) => id))
    const pieces = Array.from({ length: vocabSize }, (_, id) => {
      const token = tokenizer.idToToken(id) ?? ''
      const type = added.has(id) || isByte(token) ? kinds.control : kinds.normal
      return { text: token, score: ranks.get(token) ?? -1e6, type }
    })
    if (groupsOf(scoredMerges(pieces)) !== groupsOf(merges))
      return refuse("SentencePiece's BPE whose merges do not follow from scores of its tokens")
    return [
      ['tokenizer.ggml.model', text('llama')],
      ['tokenizer.ggml.pre', text('default')],
      ['tokenizer.ggml.scores', floats(pieces.map(({ score }) => score))],
      ...frameFields(tokenizer),
      ['tokenizer.ggml.add_space_prefix', flag(prefixed)],
    ]
  },
}

/** llama.cpp adds the token of the start and the separator to every text, and cleans and splits it as BERT does. */
const wordPiece: Kind = {
  fields: ({ model, normalizer, pre_tokenizer: split }, tokenizer) => {
    const { continuing_subword_prefix: prefix = '##' } = model as JsonObject
    const { type, lowercase = true, strip_accents: strips, ...more } = (normalizer ?? {}) as JsonObject
    if (type !== 'BertNormalizer' || more.clean_text === false || more.handle_chinese_chars === false)
      return refuse(`WordPiece with the normalizer ${JSON.stringify(normalizer ?? null)}`)
    if ((split as JsonObject | null)?.type !== 'BertPreTokenizer')
      return refuse(`WordPiece with the pre-tokenizer ${JSON.stringify(split ?? null)}`)
    if (prefix !== '##') return refuse(`WordPiece that continues words with ${JSON.stringify(prefix)}`)
    const { first, last } = frameOf(tokenizer)
    if (first === undefined || last === undefined) return refuse('WordPiece without tokens around a text')
    return [
      ['tokenizer.ggml.model', text('bert')],
      ['tokenizer.ggml.pre', text('default')],
      ['tokenizer.ggml.bos_token_id', count(first)],
      ['tokenizer.ggml.cls_token_id', count(first)],
      ['tokenizer.ggml.seperator_token_id', count(last)],
      ['tokenizer.ggml.normalizer.lowercase', flag(lowercase === true)],
      ['tokenizer.ggml.normalizer.strip_accents', flag((strips ?? lowercase) === true)],
    ]
  },
  // Marked where a word begins, not where it goes on.
  token: (token, type) => {
    if (type === kinds.control || type === kinds.userDefined) return token
    return token.startsWith('##') ? token.slice(2) : `▁${token}`
  },
}

/** The parts of a normalizer or pre-tokenizer in one list. */
const partsOf = (value: unknown): JsonObject[] => {
  const part = value as JsonObject | null | undefined
  if (part === null || part === undefined) return []
  const inner = part.normalizers ?? part.pretokenizers
  return Array.isArray(inner) ? inner.flatMap(partsOf) : [part]
}

/** What a normalizer of Unigram does to spaces: llama.cpp strips and merges them, or leaves them. */
const isAboutSpaces = (rule: JsonObject): boolean => {
  const { type, pattern, content } = rule
  if (type === 'Strip' || makesSpaces(rule)) return true
  const regex = String((pattern as JsonObject | undefined)?.Regex ?? '')
  return type === 'Replace' && ((content === ' ' && regex === ' {2,}') || (content === '' && regex === '\\A +| +\\z'))
}

/** Whether a normalizer makes one space of any white space. */
const makesSpaces = ({ type, pattern, content }: JsonObject): boolean =>
  type === 'Replace' && content === ' ' && (pattern as JsonObject).Regex === '\\s+'

/** Normalizers that change characters in the same way wherever they are. */
const ofCharacters = ['NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase']

const compiledBefore = new Map<string, Uint8Array>()

/** The rules of a normalizer of characters and white space. */
const compiledRules = (rules: readonly JsonObject[]): Uint8Array => {
  const key = JSON.stringify(rules)
  const normalizer = readNormalizer({ type: 'Sequence', normalizers: rules })
  const found = compiledBefore.get(key) ?? compileCharsmap((text) => normalizer.normalize(text, WHOLE_SEGMENT))
  compiledBefore.set(key, found)
  return found
}

/** The compiled rules of a tokenizer: those that it has, or those that say what its normalizers do. */
const charsmapFields = (normalizer: unknown): [string, GgufField][] => {
  const rules = partsOf(normalizer)
  const compiled = rules.find(({ type }) => type === 'Precompiled')
  const own = rules.filter((rule) => ofCharacters.includes(String(rule.type)) || makesSpaces(rule))
  const other = rules.find((rule) => rule !== compiled && !isAboutSpaces(rule) && (compiled || !own.includes(rule)))
  if (other !== undefined) return refuse(`Unigram with the normalizer ${JSON.stringify(other)}`)
  const key = 'tokenizer.ggml.precompiled_charsmap'
  if (compiled !== undefined) return [[key, octets(Buffer.from(String(compiled.precompiled_charsmap), 'base64'))]]
  if (own.length === 0) return []
  return [
    [key, octets(compiledRules(own))],
    [ggufNormalizerKey, text(JSON.stringify(normalizer))],
  ]
}

const unigram: Kind = {
  marksUnknown: true,
  fields: (json, tokenizer, vocabSize) => {
    const { vocab, byte_fallback: fallback } = json.model as { vocab: [string, number][]; byte_fallback?: boolean }
    if (fallback === true) return refuse('Unigram with bytes for unknown characters')
    const rules = partsOf(json.normalizer)
    const charsmap = charsmapFields(json.normalizer)
    const splits = partsOf(json.pre_tokenizer)
    const metaspace = splits.find(({ type }) => type === 'Metaspace')
    const strange = splits.find(({ type }) => type !== 'Metaspace' && type !== 'WhitespaceSplit')
    if (metaspace === undefined || strange !== undefined)
      return refuse(`Unigram with the pre-tokenizer ${JSON.stringify(json.pre_tokenizer ?? null)}`)
    const merges = rules.some(isAboutSpaces) || splits.length > 1
    const { bos, eos } = tokenizer.special
    const { first, last } = frameOf(tokenizer)
    const scores = new Map(vocab.map(([, score], id) => [id, score]))
    const prefixed = metaspace.prepend_scheme !== 'never' && metaspace.add_prefix_space !== false
    return [
      ['tokenizer.ggml.model', text('t5')],
      ['tokenizer.ggml.pre', text('default')],
      ['tokenizer.ggml.scores', floats(Array.from({ length: vocabSize }, (_, id) => scores.get(id) ?? -1000))],
      ['tokenizer.ggml.add_bos_token', flag(first !== undefined && first === bos?.id)],
      ['tokenizer.ggml.add_eos_token', flag(last !== undefined && last === eos?.id)],
      ['tokenizer.ggml.add_space_prefix', flag(prefixed)],
      ['tokenizer.ggml.remove_extra_whitespaces', flag(merges)],
      ...charsmap,
    ]
  },
}

const tokenizerKinds: Record<string, (model: JsonObject) => Kind> = {
  BPE: ({ byte_fallback: fallback }) => (fallback === true ? sentencePiece : byteLevel),
  WordPiece: () => wordPiece,
  Unigram: () => unigram,
}

/** @throws ConfigError for a tokenizer that GGUF cannot express */
const tokenizerKind = (tokenizer: ModelTokenizer): Kind => {
  const model = tokenizer.toJson().model as JsonObject
  const type = String(model.type ?? 'BPE')
  return Object.hasOwn(tokenizerKinds, type) ? tokenizerKinds[type](model) : refuse(`one of the type ${type}`)
}

/** Whether programs that read GGUF split texts for this tokenizer by their own WordPiece. */
export const isWordPiece = (tokenizer: ModelTokenizer): boolean => tokenizerKind(tokenizer) === wordPiece

/**
 * The fields `tokenizer.*`.
 * @param vocabSize rows of the embedding: tokens that the tokenizer lacks are filled up
 * @throws ConfigError for a tokenizer that GGUF cannot express
 */
export const tokenizerFields = (source: ExportSource, vocabSize: number): Map<string, GgufField> => {
  const { tokenizer, chatTemplate, generation } = source
  const json = tokenizer.toJson()
  const kind = tokenizerKind(tokenizer)
  const added = new Map(tokenizer.addedTokens.map(({ id, token }) => [id, token]))
  if (tokenizer.maxId >= vocabSize)
    throw new ConfigError(
      `Expected a tokenizer with ids below ${vocabSize}, the rows of the embedding, got ${tokenizer.maxId}. Use the tokenizer that the model was trained with.`,
    )
  // llama.cpp looks for the unknown token of Unigram by its type.
  const unknown = kind.marksUnknown ? tokenizer.special.unk?.id : undefined
  const tokens = Array.from({ length: vocabSize }, (_, id) => tokenizer.idToToken(id))
  const kindOf = (id: number, token: string | undefined) => {
    const own = added.get(id)
    if (token === undefined) return kinds.unused
    if (id === unknown) return kinds.unknown
    return own === undefined ? (kind.type?.(token) ?? kinds.normal) : own.special ? kinds.control : kinds.userDefined
  }
  const types = tokens.map((token, id) => kindOf(id, token))
  const stored = tokens.map((token, id) =>
    token === undefined ? `[PAD${id}]` : (kind.token?.(token, types[id]) ?? token),
  )
  const fields = new Map<string, GgufField>([
    ...kind.fields(json, tokenizer, vocabSize),
    ['tokenizer.ggml.tokens', text(stored)],
    ['tokenizer.ggml.token_type', integers(types)],
  ])
  const { bos, eos, pad, unk, mask, sep, cls } = tokenizer.special
  const roles = { bos, eos, padding: pad, unknown: unk, mask, seperator: sep, cls }
  for (const [role, token] of Object.entries(roles)) {
    const key = `tokenizer.ggml.${role}_token_id`
    if (token !== undefined && !fields.has(key)) fields.set(key, count(token.id))
  }
  const turn = [generation.eosTokenIds ?? []].flat().find((id) => id !== eos?.id)
  if (turn !== undefined) fields.set('tokenizer.ggml.eot_token_id', count(turn))
  if (chatTemplate !== undefined) fields.set('tokenizer.chat_template', text(chatTemplate))
  return fields
}
