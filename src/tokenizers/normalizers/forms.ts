// Normalizers of Unicode normalization forms and lower case.
import { lowerCase } from '../unicode.ts'
import { defineNormalizer, type Normalizer } from './normalizer.ts'
import { type Form, normalizeWithChanges } from './unicode-forms.ts'

const ALL_BELOW_300 = /^[\0-\u02ff]*$/
const ALL_ASCII = /^[\0-\x7f]*$/

const form = (name: Form): Normalizer => {
  // Text of these characters only is already in the form.
  const unchanged = name === 'NFC' ? ALL_BELOW_300 : ALL_ASCII
  const normalize = (text: string) => (unchanged.test(text) ? text : text.normalize(name))
  return {
    normalize,
    align(piece) {
      if (normalize(piece.text) === piece.text) return
      const { characters, changes } = normalizeWithChanges(piece.text, name)
      piece.transform(characters, changes)
    },
    // A space and `▁` never compose with the characters before them.
    safeSplitBefore: (lead) => (lead === ' ' || lead === '▁' ? lead : undefined),
    // Composition could join ASCII punctuation with a combining mark after it; decomposition cannot.
    splitsSafelyAtAscii: name === 'NFD' || name === 'NFKD',
  }
}

/** Unicode normalization form C. */
export const nfc = defineNormalizer({ type: 'NFC', read: () => form('NFC') })
/** Unicode normalization form D. */
export const nfd = defineNormalizer({ type: 'NFD', read: () => form('NFD') })
/** Unicode normalization form KC. */
export const nfkc = defineNormalizer({ type: 'NFKC', read: () => form('NFKC') })
/** Unicode normalization form KD. */
export const nfkd = defineNormalizer({ type: 'NFKD', read: () => form('NFKD') })

/** Lowercases the text, character by character. */
export const lowercase = defineNormalizer({
  type: 'Lowercase',
  read: () => ({
    normalize: lowerCase,
    align: (piece) => piece.mapCharacters((character) => character.toLowerCase()),
    safeSplitBefore: (lead) => lead,
    splitsSafelyAtAscii: true,
  }),
})
