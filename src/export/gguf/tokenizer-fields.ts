// The metadata of a byte-level BPE, WordPiece or Unigram tokenizer. llama.cpp knows pre-tokenizers of BPE by name: the name is chosen by
// the structure of tokenizer.json, and ids are compared when the file is read back.
import { ggufPreTokenizer, type ModelTokenizer } from '../../checkpoint/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { ExportSource } from '../export-target.ts'
import { count, flag, floats, type GgufField, integers, octets, text } from './gguf-file.ts'

type JsonObject = Record<string, unknown>

const kinds = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5 } as const

const refuse = (what: string): never => {
  throw new ConfigError(
    `Expected a tokenizer that llama.cpp has for \`gguf\`, got ${what}. Export to merged instead, or train a byte-level BPE tokenizer.`,
  )
}

/** Name of the pre-tokenizer of BPE. @throws ConfigError for a tokenizer that GGUF cannot express */
const preTokenizerName = (json: JsonObject): string => {
  const model = json.model as JsonObject
  if (model.byte_fallback === true) return refuse('a SentencePiece tokenizer')
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
  /** A token as the file has it. */
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

const byteLevel: Kind = {
  fields: (json, tokenizer) => {
    const { bos, eos } = tokenizer.special
    const { first, last } = frameOf(tokenizer)
    return [
      ['tokenizer.ggml.model', text('gpt2')],
      ['tokenizer.ggml.pre', text(preTokenizerName(json))],
      ['tokenizer.ggml.merges', text(mergesOf(json.model as JsonObject))],
      ['tokenizer.ggml.add_bos_token', flag(first !== undefined && first === bos?.id)],
      ['tokenizer.ggml.add_eos_token', flag(last !== undefined && last === eos?.id)],
      ['tokenizer.ggml.add_space_prefix', flag(false)],
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
const isAboutSpaces = ({ type, pattern, content }: JsonObject): boolean => {
  if (type === 'Strip') return true
  const regex = String((pattern as JsonObject | undefined)?.Regex ?? '')
  return type === 'Replace' && ((content === ' ' && regex === ' {2,}') || (content === '' && regex === '\\A +| +\\z'))
}

const unigram: Kind = {
  marksUnknown: true,
  fields: (json, tokenizer, vocabSize) => {
    const { vocab, byte_fallback: fallback } = json.model as { vocab: [string, number][]; byte_fallback?: boolean }
    if (fallback === true) return refuse('Unigram with bytes for unknown characters')
    const rules = partsOf(json.normalizer)
    const compiled = rules.find(({ type }) => type === 'Precompiled')
    const other = rules.find((rule) => rule !== compiled && !isAboutSpaces(rule))
    if (other !== undefined) return refuse(`Unigram with the normalizer ${JSON.stringify(other)}`)
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
      ...(compiled === undefined
        ? []
        : [
            [
              'tokenizer.ggml.precompiled_charsmap',
              octets(Buffer.from(String(compiled.precompiled_charsmap), 'base64')),
            ] as [string, GgufField],
          ]),
    ]
  },
}

/** By the type of the model in tokenizer.json. */
const tokenizerKinds: Record<string, Kind> = { BPE: byteLevel, WordPiece: wordPiece, Unigram: unigram }

/**
 * The fields `tokenizer.*`.
 * @param vocabSize rows of the embedding: tokens that the tokenizer lacks are filled up
 * @throws ConfigError for a tokenizer that GGUF cannot express
 */
export const tokenizerFields = (source: ExportSource, vocabSize: number): Map<string, GgufField> => {
  const { tokenizer, chatTemplate, generation } = source
  const json = tokenizer.toJson()
  const type = String((json.model as JsonObject).type ?? 'BPE')
  const kind = Object.hasOwn(tokenizerKinds, type) ? tokenizerKinds[type] : refuse(`one of the type ${type}`)
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
    return own === undefined ? kinds.normal : own.special ? kinds.control : kinds.userDefined
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
  const { bos, eos, pad, unk, mask, sep } = tokenizer.special
  const roles = { bos, eos, padding: pad, unknown: unk, mask, seperator: sep }
  for (const [role, token] of Object.entries(roles)) {
    const key = `tokenizer.ggml.${role}_token_id`
    if (token !== undefined && !fields.has(key)) fields.set(key, count(token.id))
  }
  const turn = [generation.eosTokenIds ?? []].flat().find((id) => id !== eos?.id)
  if (turn !== undefined) fields.set('tokenizer.ggml.eot_token_id', count(turn))
  if (chatTemplate !== undefined) fields.set('tokenizer.chat_template', text(chatTemplate))
  return fields
}
