// The pre-tokenizers of tokenizer.json, by type.
// @source Radford et al. 2019, the encoder released with GPT-2; Kudo and Richardson 2018 (SentencePiece)
import { toByteLevel } from '../byte-level.ts'
import { type ComponentType, componentReader, readParts, safeSplitBeforeAll } from '../components.ts'
import { throwInvalid } from '../fields.ts'
import { translateRegex } from '../oniguruma.ts'
import { matches, readPattern } from '../pattern.ts'
import type { Piece, Span } from '../text.ts'
import { classOf, NUMBER, PUNCTUATION, WHITE_SPACE } from '../unicode.ts'
import { fixedLength, unicodeScripts } from './lengths-and-scripts.ts'
import { BEHAVIORS, type PreTokenizer, splitAt, splitAtCharacters } from './pre-tokenizer.ts'
import { digitScanner, GPT2_PATTERN, gpt2Scanner, nestedScanner, type Scanner, scannerOf } from './scanner.ts'

export type { PreTokenizer } from './pre-tokenizer.ts'
export { GPT2_PATTERN, LLAMA3_PATTERN, QWEN2_PATTERN, type Scanner } from './scanner.ts'

const wholePiece: Scanner = { limited: true, next: (_units, _start, limit) => limit }

/** GPT-2's split into words, as byte-level characters. */
const byteLevel: ComponentType<PreTokenizer> = (fields) => {
  const prefixed = fields.boolean('add_prefix_space')
  const usesRegex = fields.boolean('use_regex', true)
  const regex = translateRegex(GPT2_PATTERN, fields.where)
  return {
    split: (pieces) =>
      pieces.flatMap((piece) => {
        if (prefixed && !piece.text.startsWith(' ')) piece.prepend(' ')
        const words = usesRegex ? splitAt(piece, matches(regex, piece.text), 'Isolated') : [piece]
        for (const word of words) word.toByteLevel()
        return words
      }),
    scanner: () => (usesRegex ? gpt2Scanner : wholePiece),
    finish: toByteLevel,
    ...(prefixed ? { prefix: ' ' } : {}),
  }
}

/** When `▁` is prepended: at the start of the text only, never, or to every segment. */
export const PREPEND_SCHEMES = ['first', 'never', 'always'] as const

/** All spans of `character` in `text`. */
const occurrences = (text: string, character: string): Span[] => {
  const spans: Span[] = []
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + character.length))
    spans.push([at, at + character.length])
  return spans
}

/** Replaces spaces by `▁` and splits before each. */
const metaspace: ComponentType<PreTokenizer> = (fields) => {
  const replacement = fields.character('replacement')
  let scheme = fields.oneOf('prepend_scheme', PREPEND_SCHEMES, 'always')
  if (fields.get('add_prefix_space') === false) {
    if (fields.has('prepend_scheme') && scheme !== 'never')
      throwInvalid('"never", as add_prefix_space is false,', fields.at('prepend_scheme'), scheme)
    scheme = 'never'
  }
  const splits = fields.boolean('split', true)
  return {
    split: (pieces) =>
      pieces.flatMap((piece) => {
        piece.replace(occurrences(piece.text, ' '), replacement)
        const prepends = scheme === 'always' || (scheme === 'first' && piece.originalStart === 0)
        if (prepends && !piece.text.startsWith(replacement)) piece.prepend(replacement)
        return splits ? splitAt(piece, occurrences(piece.text, replacement), 'MergedWithNext') : [piece]
      }),
    dependsOnStart: scheme === 'first',
    safeSplitBefore: (lead) => (lead !== ' ' && lead !== replacement ? undefined : splits ? '' : replacement),
  }
}

const isWhiteSpace = (code: number) => (classOf(code) & WHITE_SPACE) !== 0
const isPunctuation = (code: number) => (classOf(code) & PUNCTUATION) !== 0
const isNumeric = (code: number) => (classOf(code) & NUMBER) !== 0
const splitsAtSpace = (lead: string) => (lead === ' ' ? '' : undefined)

const hasText = (piece: Piece) => piece.text !== ''

/** Splits at white space and isolates punctuation. */
const bertPreTokenizer: ComponentType<PreTokenizer> = () => ({
  split(pieces) {
    const words = splitAtCharacters(pieces, 'Removed', isWhiteSpace).filter(hasText)
    return splitAtCharacters(words, 'Isolated', isPunctuation)
  },
  safeSplitBefore: splitsAtSpace,
  isolatesAscii: true,
})

// Words, or runs of other characters that are not white space.
const WORDS =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu

/** Splits into words and runs of punctuation (`\\w+|[^\\w\\s]+`). */
const whitespace: ComponentType<PreTokenizer> = () => ({
  split: (pieces) => pieces.flatMap((piece) => splitAt(piece, matches(WORDS, piece.text), 'Removed', true)),
  safeSplitBefore: splitsAtSpace,
})

/** Splits at white space only. */
const whitespaceSplit: ComponentType<PreTokenizer> = () => ({
  split: (pieces) => splitAtCharacters(pieces, 'Removed', isWhiteSpace),
  safeSplitBefore: splitsAtSpace,
})

/** Splits at punctuation. */
const punctuation: ComponentType<PreTokenizer> = (fields) => {
  const behavior = fields.oneOf('behavior', BEHAVIORS, 'Isolated')
  return {
    split: (pieces) => splitAtCharacters(pieces, behavior, isPunctuation),
    // With the other behaviours a piece extends over spaces to the next punctuation, so a split at a space is unsafe.
    ...(behavior === 'Isolated' || behavior === 'Removed' ? { safeSplitBefore: (lead: string) => lead } : {}),
  }
}

/** Isolates digits, one by one or in runs. */
const digits: ComponentType<PreTokenizer> = (fields) => {
  const individual = fields.boolean('individual_digits', false)
  return {
    split: (pieces) => splitAtCharacters(pieces, individual ? 'Isolated' : 'Contiguous', isNumeric),
    scanner: () => digitScanner(individual),
    safeSplitBefore: (lead) => lead,
  }
}

/** Splits at a delimiter, which is removed. */
const charDelimiterSplit: ComponentType<PreTokenizer> = (fields) => {
  const delimiter = fields.character('delimiter')
  return {
    split: (pieces) => pieces.flatMap((piece) => splitAt(piece, occurrences(piece.text, delimiter), 'Removed')),
    safeSplitBefore: (lead) => (lead === delimiter ? '' : lead),
  }
}

/** Splits at the matches of a pattern. */
const split: ComponentType<PreTokenizer> = (fields) => {
  const pattern = readPattern(fields, 'pattern')
  const behavior = fields.oneOf('behavior', BEHAVIORS)
  const invert = fields.boolean('invert', false)
  // Isolating the matches or the text between them gives the same words.
  const isolates = behavior === 'Isolated'
  return {
    split: (pieces) => pieces.flatMap((piece) => splitAt(piece, pattern.matches(piece.text), behavior, invert)),
    ...(isolates ? { scanner: () => scannerOf(pattern) } : {}),
  }
}

/** One scanner for all parts, if each of them only splits; only the last part may edit text. */
const joinedScanner = (parts: readonly PreTokenizer[]): (() => Scanner) | undefined => {
  for (const [i, part] of parts.entries()) {
    if (part.scanner === undefined) return undefined
    if (i > 0 && (!part.scanner().limited || part.prefix !== undefined)) return undefined
    if (i < parts.length - 1 && (part.finish !== undefined || part.prefix !== undefined)) return undefined
  }
  if (parts.length === 0) return undefined
  return () => parts.map((part) => part.scanner!()).reduce((outer, inner) => nestedScanner(outer, inner))
}

/** Applies pre-tokenizers in order. */
const preTokenizerSequence: ComponentType<PreTokenizer> = (fields, nested) => {
  const parts = readParts(fields, 'pretokenizers', nested)
  const scanner = joinedScanner(parts)
  const last = parts.at(-1)
  return {
    split: (pieces) => parts.reduce((now, part) => part.split(now).filter((piece) => piece.text !== ''), [...pieces]),
    dependsOnStart: parts.some((part) => part.dependsOnStart),
    safeSplitBefore: (lead) => safeSplitBeforeAll(parts, lead),
    ...(scanner === undefined ? {} : { scanner, finish: last?.finish }),
    ...(scanner !== undefined && last?.prefix !== undefined ? { prefix: last.prefix } : {}),
  }
}

/** Builds a pre-tokenizer from its JSON form in tokenizer.json. Throws DataError. */
export const readPreTokenizer = componentReader<PreTokenizer>(
  'pre_tokenizer',
  {
    BertPreTokenizer: bertPreTokenizer,
    ByteLevel: byteLevel,
    CharDelimiterSplit: charDelimiterSplit,
    Digits: digits,
    FixedLength: fixedLength,
    Metaspace: metaspace,
    Sequence: preTokenizerSequence,
    Punctuation: punctuation,
    Split: split,
    UnicodeScripts: unicodeScripts,
    Whitespace: whitespace,
    WhitespaceSplit: whitespaceSplit,
  },
  // `Delimiter` is the older name of CharDelimiterSplit.
  (fields) => (fields.string('type') === 'Delimiter' ? 'CharDelimiterSplit' : fields.string('type')),
)
