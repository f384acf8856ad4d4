// Normalizers that remove or replace single characters: BERT, Nmt, StripAccents.
// @source Devlin et al. 2019 (BERT), its released tokenizer
import type { ComponentType } from '../components.ts'
import { CONTROL, classOf, lowerCase, MARK, NONSPACING_MARK, WHITE_SPACE } from '../unicode.ts'
import type { Normalizer } from './normalizer.ts'
import { unicodeForm } from './unicode-forms.ts'

const HAN =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/u
const HAN_ALL = new RegExp(HAN.source, 'gu')
const ALL_PRINTABLE_ASCII = /^[ -~]*$/

const clean = (character: string): string => {
  if (character === '\t' || character === '\n' || character === '\r') return ' '
  if (character === '\0' || character === '\ufffd') return ''
  const bits = classOf(character.codePointAt(0)!)
  if ((bits & CONTROL) !== 0) return ''
  return (bits & WHITE_SPACE) !== 0 ? ' ' : character
}

const spaceHan = (character: string): string => (HAN.test(character) ? ` ${character} ` : character)

const dropNonspacingMark = (character: string): string =>
  (classOf(character.codePointAt(0)!) & NONSPACING_MARK) !== 0 ? '' : character

const dropMark = (character: string): string => ((classOf(character.codePointAt(0)!) & MARK) !== 0 ? '' : character)

const mapText = (text: string, map: (character: string) => string): string => {
  let result = ''
  for (const character of text) result += map(character)
  return result
}

const { align: decompose } = unicodeForm('NFD')

/** BERT: cleans control characters, spaces Chinese characters, strips accents, lowercases. */
export const bertNormalizer: ComponentType<Normalizer> = (fields) => {
  const cleanText = fields.boolean('clean_text')
  const handleHan = fields.boolean('handle_chinese_chars')
  const lowercase = fields.boolean('lowercase')
  const stripAccents = fields.boolean('strip_accents', lowercase)
  return {
    normalize(text) {
      if (ALL_PRINTABLE_ASCII.test(text)) return lowercase ? text.toLowerCase() : text
      let result = cleanText ? mapText(text, clean) : text
      if (handleHan && HAN.test(result)) result = result.replace(HAN_ALL, ' $& ')
      if (stripAccents) result = mapText(result.normalize('NFD'), dropNonspacingMark)
      return lowercase ? lowerCase(result) : result
    },
    align(piece) {
      if (cleanText) piece.mapCharacters(clean)
      if (handleHan && HAN.test(piece.text)) piece.mapCharacters(spaceHan)
      if (stripAccents) {
        decompose(piece)
        piece.mapCharacters(dropNonspacingMark)
      }
      if (lowercase) piece.mapCharacters((character) => character.toLowerCase())
    },
    splitsSafelyAtAscii: true,
  }
}

/** Removes combining marks. */
export const stripAccents: Normalizer = {
  normalize: (text) => mapText(text, dropMark),
  align: (piece) => piece.mapCharacters(dropMark),
  safeSplitBefore: (lead) => lead,
  splitsSafelyAtAscii: true,
}

const NMT_DROPPED = /[\u0001-\u0008\u000b\u000e-\u001f\u007f\u008f\u009f]/
const NMT_SPACES = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/

const nmtCharacter = (character: string): string =>
  NMT_DROPPED.test(character) ? '' : NMT_SPACES.test(character) ? ' ' : character

/** SentencePiece's nmt rules: removes control characters and replaces special spaces. */
export const nmt: Normalizer = {
  normalize: (text) => mapText(text, nmtCharacter),
  align: (piece) => piece.mapCharacters(nmtCharacter),
  safeSplitBefore: nmtCharacter,
}
