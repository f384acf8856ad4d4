// Facts about a tokenizer that objectives need: special tokens, and which tokens begin words or end sentences, for
// WordPiece, byte-level BPE and SentencePiece vocabularies. Independent of objectives.
import { encodeContinuation, findFimTokens, type Tokenizer } from '../tokenizers/index.ts'
import type { VocabularyFacts } from './objective.ts'

/** Facts about a tokenizer for objectives. The table of words is made when it is first used. */
export const vocabularyFacts = (tokenizer: Tokenizer): VocabularyFacts => {
  const { special } = tokenizer
  const specialIds = new Set<number>(special.additional.map(({ id }) => id))
  const roles: Partial<Record<'pad' | 'cls' | 'sep' | 'mask' | 'bos' | 'eos', number>> = {}
  for (const role of ['pad', 'cls', 'sep', 'mask', 'bos', 'eos', 'unk'] as const) {
    const id = special[role]?.id
    if (id === undefined) continue
    specialIds.add(id)
    if (role !== 'unk') roles[role] = id
  }
  for (const { id, token } of tokenizer.addedTokens) if (token.special) specialIds.add(id)
  const sentinels = sentinelsOf(tokenizer)
  for (const id of sentinels) specialIds.add(id)
  const size = Math.max(tokenizer.maxId + 1, tokenizer.vocabSize)
  const fim = findFimTokens(tokenizer)
  let words: WordTable | undefined
  const table = () => {
    words ??= wordTable(tokenizer, size)
    return words
  }
  return {
    size,
    ...roles,
    specialIds,
    continuesWord: (id, previous) => table().continues(id, previous),
    endsSentence: (id) => table().sentenceEnds[id] === 1,
    ...(sentinels.length > 0 ? { sentinels } : {}),
    ...(fim === undefined ? {} : { fim }),
    texts: {
      decode: (ids) => tokenizer.decode(ids),
      encode: (text, { continues }) =>
        continues ? Uint32Array.from(encodeContinuation(tokenizer, text)) : tokenizer.encodeIds(text),
    },
  }
}

/** The ids of `<extra_id_0>`, `<extra_id_1>` … up to the first that is missing. */
const sentinelsOf = (tokenizer: Tokenizer): number[] => {
  const ids: number[] = []
  for (;;) {
    const id = tokenizer.tokenToId(`<extra_id_${ids.length}>`)
    if (id === undefined) return ids
    ids.push(id)
  }
}

interface WordTable {
  continues(id: number, previous: number): boolean
  sentenceEnds: Uint8Array
}

/** Kind of the first or last character of a token. */
const SPACE = 0
const LETTER = 1
const DIGIT = 2
const OTHER = 3
/** Part of a character, or unknown: continues whatever is before it. */
const PART = 4

const wordTable = (tokenizer: Tokenizer, size: number): WordTable => {
  const json = tokenizer.toJson()
  const model = json.model as { continuing_subword_prefix?: unknown; end_of_word_suffix?: unknown }
  const sentenceEnds = new Uint8Array(size)
  const pieces = (see: (id: number, piece: string) => void) => {
    for (let id = 0; id < size; id++) {
      const piece = tokenizer.idToToken(id)
      if (piece !== undefined) see(id, piece)
    }
  }
  const marksSentence = (piece: string) => /[.!?…。！？]["'”’)»\]]*$/u.test(piece)
  const prefix = textOf(model.continuing_subword_prefix)
  const suffix = textOf(model.end_of_word_suffix)
  if (prefix !== undefined || suffix !== undefined) {
    // Each token shows by itself whether it continues a word, or whether its word ends.
    const continues = new Uint8Array(size)
    pieces((id, piece) => {
      const ends = suffix !== undefined && piece.endsWith(suffix)
      continues[id] = prefix !== undefined ? Number(piece.startsWith(prefix) && piece !== prefix) : Number(!ends)
      sentenceEnds[id] = Number(marksSentence(ends ? piece.slice(0, -suffix.length) : piece))
    })
    return { sentenceEnds, continues: (id, previous) => continues[prefix !== undefined ? id : previous] === 1 }
  }
  const bytes = /"type":"ByteLevel"/.test(JSON.stringify([json.pre_tokenizer, json.decoder, json.normalizer]))
  const starts = new Uint8Array(size).fill(PART)
  const ends = new Uint8Array(size).fill(PART)
  const kindOf = bytes ? kindOfByte : kindOfCharacter
  pieces((id, piece) => {
    const characters = bytes ? [] : [...piece]
    const isByte = !bytes && /^<0x[0-9A-F]{2}>$/.test(piece)
    if (isByte) {
      const kind = kindOfCode(Number.parseInt(piece.slice(3, 5), 16))
      starts[id] = ends[id] = kind
    } else if (piece !== '') {
      starts[id] = kindOf(bytes ? piece[0] : characters[0])
      ends[id] = kindOf(bytes ? piece[piece.length - 1] : characters[characters.length - 1])
    }
    sentenceEnds[id] = Number(marksSentence(piece))
  })
  return {
    sentenceEnds,
    continues(id, previous) {
      const start = starts[id]
      if (start === SPACE) return false
      const end = ends[previous]
      // After a token that is only a space, as in "▁" + "word", the word has just begun.
      return start === PART || end === PART || end === SPACE || start === end
    },
  }
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)

const kindOfCode = (byte: number): number => (byte > 0x7f ? PART : kindOfCharacter(String.fromCharCode(byte)))

const kindOfCharacter = (character: string): number => {
  if (character === '▁' || /\s/u.test(character)) return SPACE
  if (/[\p{L}\p{M}]/u.test(character)) return LETTER
  return /\p{N}/u.test(character) ? DIGIT : OTHER
}

/** Kind of a byte-level character: bytes beyond ASCII are parts of characters, most of them letters. */
const kindOfByte = (character: string): number => {
  const code = character.charCodeAt(0)
  // The bytes that have no visible character are written from U+0100 on, in order: 0-32, 127-160, 173.
  if (code >= 0x100) return code <= 0x120 ? (/\s/.test(String.fromCharCode(code - 0x100)) ? SPACE : OTHER) : LETTER
  return code > 0x7f ? LETTER : kindOfCharacter(character)
}
