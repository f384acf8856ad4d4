// Character classes of pre-tokenizers, looked up in UTF-8 bytes without decoding to strings.
import { LETTER as LETTER_BIT, NUMBER as NUMBER_BIT, classOf as unicodeClassOf, WHITE_SPACE } from '../unicode.ts'

/** Class of all other characters. */
export const OTHER = 0
/** Class of letters. */
export const LETTER = LETTER_BIT
/** Class of numeric characters. */
export const NUMBER = NUMBER_BIT
/** Class of white space. */
export const SPACE = WHITE_SPACE

/** The class of a code point: LETTER, NUMBER, SPACE or OTHER. */
export const classOf = (code: number): number => unicodeClassOf(code) & (LETTER | NUMBER | SPACE)

/** Classes of the first 128 code points. */
export const ASCII_CLASSES: Uint8Array = Uint8Array.from({ length: 128 }, (_, code) => classOf(code))

/** Length in bytes of the UTF-8 sequence that starts with `lead`. */
export const sequenceLength = (lead: number): number => (lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4)

/** The code point at `index`, the start of a well-formed sequence. */
export const codePointAt = (bytes: Uint8Array, index: number): number => {
  const lead = bytes[index]
  if (lead < 0x80) return lead
  if (lead < 0xe0) return ((lead & 31) << 6) | (bytes[index + 1] & 63)
  if (lead < 0xf0) return ((lead & 15) << 12) | ((bytes[index + 1] & 63) << 6) | (bytes[index + 2] & 63)
  return ((lead & 7) << 18) | ((bytes[index + 1] & 63) << 12) | ((bytes[index + 2] & 63) << 6) | (bytes[index + 3] & 63)
}
