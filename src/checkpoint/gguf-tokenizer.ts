// The tokenizer of a GGUF file as tokenizer.json and tokenizer_config.json: byte-level BPE, whose pre-tokenizer follows
// from llama.cpp's name for it, SentencePiece BPE, Unigram, and WordPiece.
// @source https://github.com/ggml-org/llama.cpp, src/llama-vocab.cpp (names and settings that go with them)
import { CheckpointError } from '../core/index.ts'
import { scoredMerges } from '../tokenizers/index.ts'
import type { GgufFile } from './gguf.ts'
import { GgufFields } from './gguf-fields.ts'

type JsonObject = Record<string, unknown>

/** A tokenizer as the contents of its files. */
export interface GgufTokenizer {
  /** The content of tokenizer.json: `loadTokenizer(tokenizer, { config })`. */
  tokenizer: JsonObject
  /** The content of tokenizer_config.json: special tokens, chat template. */
  config: JsonObject
}

/** The codes of `tokenizer.ggml.token_type`. */
const kinds = { normal: 1, unknown: 2, control: 3, userDefined: 4 } as const

interface PreTokenizer {
  names: readonly string[]
  parts(addPrefixSpace: boolean): JsonObject[]
  /** Whether a word that is a token is used without merges. */
  ignoreMerges?: boolean
  /** Default for adding the start token. */
  addBos?: boolean
}

const byteLevel = (addPrefixSpace: boolean, usesRegex: boolean): JsonObject => ({
  type: 'ByteLevel',
  add_prefix_space: addPrefixSpace,
  trim_offsets: false,
  use_regex: usesRegex,
})
const split = (regex: string): JsonObject => ({
  type: 'Split',
  pattern: { Regex: regex },
  behavior: 'Isolated',
  invert: false,
})
const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
const rest = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
const wordsAndDigits = (digits: string): string => `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}|${rest}`

const gpt2Pattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
const gpt2Split = `{"type":"Split","pattern":${JSON.stringify(gpt2Pattern)},"behavior":"Isolated"},{"type":"ByteLevel","prefix":false,"regex":false}]`

const preTokenizers: readonly PreTokenizer[] = [
  { names: ['gpt-2', 'default', 'phi-2', 'olmo', 'jais'], parts: (prefix) => [byteLevel(prefix, true)] },
  {
    names: ['smollm', 'starcoder', 'refact', 'codeshell'],
    parts: (prefix) => [{ type: 'Digits', individual_digits: true }, byteLevel(prefix, true)],
  },
  {
    names: ['llama-bpe', 'llama3', 'llama-v3', 'falcon3'],
    parts: (prefix) => [split(wordsAndDigits('\\p{N}{1,3}')), byteLevel(prefix, false)],
    ignoreMerges: true,
    addBos: true,
  },
  {
    names: ['smaug-bpe', 'dbrx'],
    parts: (prefix) => [split(wordsAndDigits('\\p{N}{1,3}')), byteLevel(prefix, false)],
  },
  {
    names: ['qwen2', 'deepseek-r1-qwen', 'megrez'],
    parts: (prefix) => [split(wordsAndDigits('\\p{N}')), byteLevel(prefix, false)],
  },
]

/** The parts of a pre-tokenizer in one list, with what does not change ids left out. */
const partsOf = (value: unknown): unknown[] => {
  const part = value as JsonObject | null | undefined
  if (part === null || part === undefined) return []
  if (part.type === 'Sequence') return (part.pretokenizers as unknown[]).flatMap(partsOf)
  if (part.type === 'ByteLevel') return [{ type: part.type, prefix: part.add_prefix_space, regex: part.use_regex }]
  if (part.type === 'Digits') return [{ type: part.type, individual: part.individual_digits }]
  if (part.type === 'Split' && part.invert !== true)
    return [{ type: part.type, pattern: (part.pattern as JsonObject).Regex ?? part.pattern, behavior: part.behavior }]
  return [part]
}

/**
 * llama.cpp's name for the pre-tokenizer of a byte-level tokenizer.json, by its structure.
 * @returns undefined if no name splits text in that way
 */
export const ggufPreTokenizer = (tokenizer: JsonObject): string | undefined => {
  const parts = JSON.stringify(partsOf(tokenizer.pre_tokenizer))
  const ignores = (tokenizer.model as JsonObject | undefined)?.ignore_merges === true
  // A Split by the pattern of GPT-2 before a ByteLevel without one is the same as a ByteLevel with it.
  const same = (candidate: PreTokenizer) => {
    const own = JSON.stringify(partsOf({ type: 'Sequence', pretokenizers: candidate.parts(false) }))
    return own === parts || own === parts.replace(gpt2Split, '{"type":"ByteLevel","prefix":false,"regex":true}]')
  }
  return preTokenizers.find((one) => same(one) && (one.ignoreMerges ?? false) === ignores)?.names[0]
}

interface Vocabulary {
  tokens: readonly string[]
  /** `kinds` by id. */
  types: ArrayLike<number>
  ids: JsonObject
}

const fault = (file: GgufFile, what: string): CheckpointError =>
  new CheckpointError(`${file.path}: ${what} Use the Hugging Face folder of the model.`)

const readVocabulary = (file: GgufFile, tokenOf?: Reader['token']): Vocabulary => {
  const stored = file.metadata.get('tokenizer.ggml.tokens')
  if (!Array.isArray(stored) || stored.length === 0)
    throw fault(file, 'Expected a list of strings for `tokenizer.ggml.tokens`, got none.')
  const types = file.metadata.get('tokenizer.ggml.token_type') ?? new Int32Array(stored.length).fill(kinds.normal)
  if (!(types instanceof Int32Array || types instanceof Uint32Array) || types.length !== stored.length)
    throw fault(file, `Expected ${stored.length} integers for \`tokenizer.ggml.token_type\`, got something else.`)
  const tokens: string[] = tokenOf === undefined ? stored : stored.map((token: string, id) => tokenOf(token, types[id]))
  const ids: JsonObject = Object.create(null)
  // Of tokens with the same text the last one is used, as in llama.cpp.
  for (let id = 0; id < tokens.length; id++) ids[tokens[id]] = id
  return { tokens, types, ids }
}

/** Tokens that are matched in the text before pre-tokenization. */
const addedTokens = ({ tokens, types, ids }: Vocabulary): JsonObject[] =>
  tokens.flatMap((content, id) => {
    const type = types[id]
    const special = type === kinds.control || type === kinds.unknown
    if ((!special && type !== kinds.userDefined) || content === '' || ids[content] !== id) return []
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }]
  })

const readMerges = (file: GgufFile): [string, string][] => {
  const merges = file.metadata.get('tokenizer.ggml.merges')
  if (!Array.isArray(merges)) throw fault(file, 'Expected a list of strings for `tokenizer.ggml.merges`, got none.')
  return merges.map((merge: string, i) => {
    // A token may be a space, but is never empty.
    const cut = merge.indexOf(' ', 1)
    if (cut < 1 || cut === merge.length - 1)
      throw fault(
        file,
        `Expected two tokens for \`tokenizer.ggml.merges[${i}]\`, got ${JSON.stringify(merge.slice(0, 40))}.`,
      )
    return [merge.slice(0, cut), merge.slice(cut + 1)]
  })
}

interface Parts {
  normalizer: JsonObject | null
  preTokenizer: JsonObject | null
  decoder: JsonObject
  model: JsonObject
  /** Post-processors before the template with start and end tokens. */
  postProcessors: JsonObject[]
  addBos: boolean
  /** The post-processors add the start and end tokens, whatever the fields say. */
  framed?: boolean
  /** Special tokens that the format sets. */
  roles?: Record<string, string>
}

const bpe = (vocabulary: Vocabulary, merges: [string, string][], more: JsonObject): JsonObject => ({
  type: 'BPE',
  dropout: null,
  unk_token: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
  ...more,
  vocab: vocabulary.ids,
  merges,
})

const byteLevelParts = (fields: GgufFields, vocabulary: Vocabulary): Parts => {
  const name = fields.string('pre') ?? 'default'
  const chosen = preTokenizers.find(({ names }) => names.includes(name))
  if (chosen === undefined)
    throw fault(
      fields.file,
      `Expected one of ${preTokenizers.flatMap(({ names }) => names).join(', ')} for \`tokenizer.ggml.pre\`, got ${JSON.stringify(name.slice(0, 40))}.`,
    )
  const parts = chosen.parts(fields.boolean('add_space_prefix') ?? false)
  return {
    normalizer: null,
    preTokenizer: parts.length === 1 ? parts[0] : { type: 'Sequence', pretokenizers: parts },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: bpe(vocabulary, readMerges(fields.file), { ignore_merges: chosen.ignoreMerges ?? false }),
    postProcessors: [{ type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true }],
    addBos: chosen.addBos ?? false,
  }
}

const sentencePieceParts = (fields: GgufFields, vocabulary: Vocabulary): Parts => {
  const { file } = fields
  const { tokens, types } = vocabulary
  const scores = file.metadata.get('tokenizer.ggml.scores')
  if (!(scores instanceof Float32Array) || scores.length !== tokens.length)
    throw fault(file, `Expected ${tokens.length} float32 values for \`tokenizer.ggml.scores\`, got something else.`)
  const prefixed = fields.boolean('add_space_prefix') ?? true
  const unknown = tokens.findIndex((_, id) => types[id] === kinds.unknown)
  const toMarks = { type: 'Replace', pattern: { String: ' ' }, content: '▁' }
  return {
    normalizer: prefixed ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, toMarks] } : toMarks,
    preTokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefixed ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: bpe(vocabulary, scoredMerges(tokens.map((text, id) => ({ text, score: scores[id], type: types[id] }))), {
      unk_token: unknown < 0 ? null : tokens[unknown],
      fuse_unk: true,
      byte_fallback: true,
    }),
    postProcessors: [],
    addBos: true,
  }
}

/** Ids of special tokens of a WordPiece tokenizer whose file names none. */
const wordPieceIds = { bos: 101, unknown: 100, seperator: 102, padding: 0, mask: 103 } as const

/** Tokens of WordPiece: llama.cpp marks those that begin a word, tokenizer.json those that do not. */
const wordPieceToken = (token: string, type: number): string => {
  if (type === kinds.control || type === kinds.userDefined) return token
  return token.startsWith('▁') ? token.slice(1) : `##${token}`
}

const wordPieceParts = (fields: GgufFields, vocabulary: Vocabulary): Parts => {
  const special = (key: keyof typeof wordPieceIds) => {
    const id = fields.number(`${key}_token_id`) ?? wordPieceIds[key]
    const token = vocabulary.tokens[id]
    if (token === undefined) throw fields.fault('an id of the vocabulary', `${key}_token_id`, id)
    return token
  }
  const [cls, sep, unk] = [special('bos'), special('seperator'), special('unknown')]
  const lowercase = fields.boolean('normalizer.lowercase') ?? true
  const token = (id: string, typeId: number) => ({ SpecialToken: { id, type_id: typeId } })
  const sequence = (id: string, typeId: number) => ({ Sequence: { id, type_id: typeId } })
  return {
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: fields.boolean('normalizer.strip_accents') ?? lowercase,
      lowercase,
    },
    preTokenizer: { type: 'BertPreTokenizer' },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: unk,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: vocabulary.ids,
    },
    postProcessors: [
      {
        type: 'TemplateProcessing',
        single: [token(cls, 0), sequence('A', 0), token(sep, 0)],
        pair: [token(cls, 0), sequence('A', 0), token(sep, 0), sequence('B', 1), token(sep, 1)],
        special_tokens: Object.fromEntries(
          [cls, sep].map((text) => [text, { id: text, ids: [vocabulary.ids[text]], tokens: [text] }]),
        ),
      },
    ],
    addBos: false,
    framed: true,
    roles: {
      cls_token: cls,
      sep_token: sep,
      unk_token: unk,
      pad_token: special('padding'),
      mask_token: special('mask'),
    },
  }
}

/** Key of the normalizer of a tokenizer.json whose effect is in the compiled rules: llama.cpp and Tunesmith read these differently. */
export const ggufNormalizerKey = 'tunesmith.normalizer'

/** The normalizer that our files name beside the compiled rules. */
const namedNormalizer = (file: GgufFile): JsonObject | undefined => {
  const given = new GgufFields(file, '').string(ggufNormalizerKey)
  if (given === undefined) return undefined
  try {
    return JSON.parse(given) as JsonObject
  } catch {
    throw fault(file, `Expected JSON for \`${ggufNormalizerKey}\`, got ${JSON.stringify(given.slice(0, 40))}.`)
  }
}

/** Unigram, with the normalisation of SentencePiece as its compiled rules. */
const unigramParts = (fields: GgufFields, vocabulary: Vocabulary): Parts => {
  const { file } = fields
  const { tokens, types } = vocabulary
  const scores = file.metadata.get('tokenizer.ggml.scores')
  if (!(scores instanceof Float32Array) || scores.length !== tokens.length)
    throw fault(file, `Expected ${tokens.length} float32 values for \`tokenizer.ggml.scores\`, got something else.`)
  const rules = file.metadata.get('tokenizer.ggml.precompiled_charsmap')
  const compiled =
    rules instanceof Uint8Array || rules instanceof Int8Array
      ? Buffer.from(rules.buffer, rules.byteOffset, rules.length)
      : undefined
  const prefixed = fields.boolean('add_space_prefix') ?? true
  const merged = fields.boolean('remove_extra_whitespaces') ?? false
  const unknown = fields.number('unknown_token_id') ?? Array.from(types).indexOf(kinds.unknown)
  const metaspace = {
    type: 'Metaspace',
    replacement: '▁',
    prepend_scheme: prefixed ? 'always' : 'never',
    split: true,
  }
  const normalizers = [
    ...(compiled === undefined ? [] : [{ type: 'Precompiled', precompiled_charsmap: compiled.toString('base64') }]),
    ...(merged
      ? [
          { type: 'Replace', pattern: { Regex: '\\A +| +\\z' }, content: '' },
          { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' },
        ]
      : []),
  ]
  return {
    normalizer: namedNormalizer(file) ?? (normalizers.length === 0 ? null : { type: 'Sequence', normalizers }),
    preTokenizer: metaspace,
    decoder: metaspace,
    model: {
      type: 'Unigram',
      unk_id: unknown < 0 ? null : unknown,
      vocab: tokens.map((token, id) => [token, scores[id]]),
      byte_fallback: false,
    },
    postProcessors: [],
    addBos: false,
  }
}

interface Reader {
  read(fields: GgufFields, vocabulary: Vocabulary): Parts
  /** The token of tokenizer.json, where it is not that of the file. */
  token?(token: string, type: number): string
}

const readers: Record<string, Reader> = {
  gpt2: { read: byteLevelParts },
  llama: { read: sentencePieceParts },
  bert: { read: wordPieceParts, token: wordPieceToken },
  t5: { read: unigramParts },
}

const roleKeys = {
  bos: 'bos',
  eos: 'eos',
  unk: 'unknown',
  pad: 'padding',
  sep: 'seperator',
  cls: 'cls',
  mask: 'mask',
} as const

/** Special tokens by role. */
const readRoles = (fields: GgufFields, { tokens }: Vocabulary): Record<string, string> =>
  Object.fromEntries(
    Object.entries(roleKeys).flatMap(([role, key]) => {
      const id = fields.number(`${key}_token_id`)
      if (id === undefined) return []
      const token = Number.isInteger(id) ? tokens[id] : undefined
      // llama.cpp ignores ids beyond the vocabulary, too.
      return token === undefined || token === '' ? [] : [[`${role}_token`, token]]
    }),
  )

const frame = (bos: string | undefined, eos: string | undefined, ids: JsonObject): JsonObject[] => {
  if (bos === undefined && eos === undefined) return []
  const token = (id: string | undefined, typeId: number) =>
    id === undefined ? [] : [{ SpecialToken: { id, type_id: typeId } }]
  const framed = (id: string, typeId: number) => [
    ...token(bos, typeId),
    { Sequence: { id, type_id: typeId } },
    ...token(eos, typeId),
  ]
  const tokens = [...new Set([bos, eos])].filter((text) => text !== undefined)
  return [
    {
      type: 'TemplateProcessing',
      single: framed('A', 0),
      pair: [...framed('A', 0), ...framed('B', 1)],
      special_tokens: Object.fromEntries(tokens.map((text) => [text, { id: text, ids: [ids[text]], tokens: [text] }])),
    },
  ]
}

/**
 * Converts the tokenizer.
 * @throws CheckpointError for a file without one, or of a kind that cannot be converted to give the same ids
 */
export const ggufTokenizer = (file: GgufFile): GgufTokenizer => {
  const fields = new GgufFields(file, 'tokenizer.ggml')
  const kind = fields.string('model') ?? 'none'
  const reader = Object.hasOwn(readers, kind) ? readers[kind] : undefined
  if (reader === undefined)
    throw fault(
      file,
      `Expected one of ${Object.keys(readers).join(', ')} for \`tokenizer.ggml.model\`, got ${JSON.stringify(kind.slice(0, 40))}.`,
    )
  const vocabulary = readVocabulary(file, reader.token)
  const {
    normalizer,
    preTokenizer,
    decoder,
    model,
    postProcessors,
    addBos,
    framed,
    roles: own,
  } = reader.read(fields, vocabulary)
  const roles = own ?? readRoles(fields, vocabulary)
  const bos = !framed && (fields.boolean('add_bos_token') ?? addBos) ? roles.bos_token : undefined
  const eos = !framed && (fields.boolean('add_eos_token') ?? false) ? roles.eos_token : undefined
  const processors = [...postProcessors, ...frame(bos, eos, vocabulary.ids)]
  const template = new GgufFields(file, 'tokenizer').string('chat_template')
  return {
    tokenizer: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: addedTokens(vocabulary),
      normalizer,
      pre_tokenizer: preTokenizer,
      post_processor:
        processors.length > 1 ? { type: 'Sequence', processors } : processors.length === 1 ? processors[0] : null,
      decoder,
      model,
    },
    config: {
      ...roles,
      add_bos_token: bos !== undefined,
      add_eos_token: eos !== undefined,
      ...(template === undefined ? {} : { chat_template: template }),
    },
  }
}
