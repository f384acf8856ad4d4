// Converts SentencePiece model files to the content of tokenizer.json: a small protocol buffer reader, and the mapping
// of pieces and settings. Independent of the file system.
// @source sentencepiece_model.proto (field numbers); Kudo and Richardson 2018
import { type JsonObject, throwInvalid } from './fields.ts'
import { framingJson, specialTokenJson } from './special-tokens.ts'

const PIECE_TYPES = { unknown: 2, control: 3, userDefined: 4 } as const
const MODEL_BPE = 2
const MODEL_UNIGRAM = 1
const MAX_PIECES = 4_000_000

/** A piece of a SentencePiece vocabulary. */
export interface ScoredPiece {
  text: string
  score: number
  /** 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte. */
  type: number
}

type Value = number | Buffer

/** The fields of one protocol buffer message, as on the wire. Throws DataError for a truncated message. */
function* messageFields(bytes: Buffer, where: string): Generator<[field: number, value: Value]> {
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= bytes.length) throwInvalid('a complete message', where, 'a truncated one')
      const byte = bytes[at++]
      value += (byte & 127) * 2 ** shift
      if (byte < 128) return value
    }
    return throwInvalid('a number of at most 64 bits', where, 'a longer one')
  }
  while (at < bytes.length) {
    const key = varint()
    const wire = key % 8
    const field = Math.floor(key / 8)
    if (wire === 0) yield [field, varint()]
    else {
      const length =
        wire === 2 ? varint() : wire === 5 ? 4 : wire === 1 ? 8 : throwInvalid('a known wire type', where, wire)
      if (length > bytes.length - at) throwInvalid('a complete message', where, 'a truncated one')
      yield [field, bytes.subarray(at, at + length)]
      at += length
    }
  }
}

const collect = (bytes: Buffer, where: string): Map<number, Value> => new Map(messageFields(bytes, where))

const readPiece = (bytes: Buffer, index: number): ScoredPiece => {
  const fields = collect(bytes, `pieces[${index}]`)
  const text = fields.get(1)
  const score = fields.get(2)
  const type = fields.get(3) ?? 1
  if (!Buffer.isBuffer(text) || typeof type !== 'number')
    throwInvalid('a piece with text', `pieces[${index}]`, 'another')
  return {
    text: text.toString('utf8'),
    score: Buffer.isBuffer(score) && score.length === 4 ? score.readFloatLE(0) : 0,
    type,
  }
}

/** Converts a SentencePiece model file; `config` is tokenizer_config.json. Throws DataError. */
export const sentencePieceJson = (bytes: Buffer, config: JsonObject = {}): JsonObject => {
  const pieces: ScoredPiece[] = []
  let trainer = new Map<number, Value>()
  let normalizer = new Map<number, Value>()
  for (const [field, value] of messageFields(bytes, 'tokenizer.model')) {
    if (!Buffer.isBuffer(value)) continue
    if (field === 1) {
      if (pieces.length === MAX_PIECES) throwInvalid(`at most ${MAX_PIECES} pieces`, 'tokenizer.model', 'more')
      pieces.push(readPiece(value, pieces.length))
    } else if (field === 2) trainer = collect(value, 'trainer_spec')
    else if (field === 3) normalizer = collect(value, 'normalizer_spec')
  }
  if (pieces.length === 0) throwInvalid('pieces', 'tokenizer.model', 'none')
  const kind = trainer.get(3) ?? MODEL_UNIGRAM
  if (kind !== MODEL_BPE && kind !== MODEL_UNIGRAM)
    throwInvalid('a BPE or unigram model', 'trainer_spec.model_type', kind)
  const byteFallback = trainer.get(35) === 1
  const unkId = pieces.findIndex(({ type }) => type === PIECE_TYPES.unknown)
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: pieces.flatMap((piece, id) => addedToken(piece, id)),
    ...(kind === MODEL_BPE ? bpeParts(normalizer) : unigramParts(normalizer)),
    post_processor: postProcessor(pieces, config, kind === MODEL_BPE && byteFallback),
    model:
      kind === MODEL_BPE
        ? bpeModel(pieces, unkId, byteFallback)
        : {
            type: 'Unigram',
            unk_id: unkId < 0 ? null : unkId,
            vocab: pieces.map(({ text, score }) => [text, score]),
            byte_fallback: byteFallback,
          },
  }
}

const addedToken = ({ text, type }: ScoredPiece, id: number): JsonObject[] => {
  const special = type === PIECE_TYPES.unknown || type === PIECE_TYPES.control
  if (!special && type !== PIECE_TYPES.userDefined) return []
  return [{ ...specialTokenJson(id, text), special }]
}

const flag = (spec: ReadonlyMap<number, Value>, field: number): boolean => (spec.get(field) ?? 1) === 1

const normalizers = (spec: ReadonlyMap<number, Value>): JsonObject[] => {
  const charsmap = spec.get(2)
  const parts: JsonObject[] = []
  if (Buffer.isBuffer(charsmap) && charsmap.length > 0)
    parts.push({ type: 'Precompiled', precompiled_charsmap: charsmap.toString('base64') })
  if (flag(spec, 4)) {
    // SentencePiece strips plain spaces only; its precompiled rules have already replaced other white space.
    if (parts.length > 0) parts.push({ type: 'Strip', strip_left: true, strip_right: true })
    else parts.push({ type: 'Replace', pattern: { Regex: '\\A +| +\\z' }, content: '' })
    parts.push({ type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' })
  }
  return parts
}

const bpeParts = (spec: ReadonlyMap<number, Value>): JsonObject => {
  const parts = normalizers(spec)
  const prefixed = flag(spec, 3)
  if (prefixed) parts.push({ type: 'Prepend', prepend: '▁' })
  parts.push({ type: 'Replace', pattern: { String: ' ' }, content: '▁' })
  return {
    normalizer: { type: 'Sequence', normalizers: parts },
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefixed ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
  }
}

const unigramParts = (spec: ReadonlyMap<number, Value>): JsonObject => {
  const parts = normalizers(spec)
  const scheme = flag(spec, 3) ? 'always' : 'never'
  const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: scheme, split: true }
  return {
    normalizer: parts.length === 0 ? null : { type: 'Sequence', normalizers: parts },
    pre_tokenizer: metaspace,
    decoder: { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, metaspace] },
  }
}

/**
 * The merges of a SentencePiece BPE vocabulary, best first. A merge ranks by the score of its result, so every split of
 * a piece into two pieces is a merge.
 */
export const scoredMerges = (pieces: readonly ScoredPiece[]): [left: string, right: string][] => {
  const ids = new Map(pieces.map(({ text }, id) => [text, id]))
  const merges: { sides: [string, string]; score: number; left: number; right: number; id: number }[] = []
  for (const [id, { text, score, type }] of pieces.entries()) {
    if (type !== 1 || text.length > 256) continue
    for (let middle = 1; middle < text.length; middle++) {
      const sides: [string, string] = [text.slice(0, middle), text.slice(middle)]
      const [left, right] = sides.map((side) => ids.get(side))
      if (left !== undefined && right !== undefined) merges.push({ sides, score, left, right, id })
    }
  }
  merges.sort((a, b) => b.score - a.score || a.id - b.id || a.left - b.left || a.right - b.right)
  return merges.map(({ sides }) => sides)
}

const bpeModel = (pieces: readonly ScoredPiece[], unkId: number, byteFallback: boolean): JsonObject => {
  const vocab: JsonObject = Object.create(null)
  for (const [id, { text }] of pieces.entries()) vocab[text] = id
  return {
    type: 'BPE',
    dropout: null,
    unk_token: unkId < 0 ? null : pieces[unkId].text,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: byteFallback,
    ignore_merges: false,
    vocab,
    merges: scoredMerges(pieces),
  }
}

const postProcessor = (pieces: readonly ScoredPiece[], config: JsonObject, isLlama: boolean): JsonObject | null => {
  const controls = pieces.flatMap(({ text, type }, id) => (type === PIECE_TYPES.control ? [{ text, id }] : []))
  const wanted = (key: string, fallback: boolean) => (typeof config[key] === 'boolean' ? config[key] : fallback)
  const bos = wanted('add_bos_token', isLlama) ? controls.find(({ text }) => text === '<s>') : undefined
  const eos = wanted('add_eos_token', /^M?T5/.test(`${config.tokenizer_class ?? ''}`))
    ? controls.find(({ text }) => text === '</s>')
    : undefined
  if (bos === undefined && eos === undefined) return null
  const before = bos === undefined ? [] : [bos.text]
  const after = eos === undefined ? [] : [eos.text]
  const specials = [bos, eos].flatMap((token): [string, number][] =>
    token === undefined ? [] : [[token.text, token.id]],
  )
  return framingJson(before, after, { before, type: 1 }, specials)
}
