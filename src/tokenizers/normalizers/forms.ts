// The Unicode normalization forms and lower case as normalizers.
import { lowerCase } from '../unicode.ts'
import { defineNormalizer, type Normalizer } from './normalizer.ts'
import { type Form, normalizeWithChanges } from './unicode-forms.ts'

const ALL_BELOW_300 = /^[\0-\u02ff]*$/
const ALL_ASCII = /^[\0-\x7f]*$/

const form = (name: Form): Normalizer => {
  // Below these characters the form leaves every text as it is.
  const untouched = name === 'NFC' ? ALL_BELOW_300 : ALL_ASCII
  const normalize = (text: string) => (untouched.test(text) ? text : text.normalize(name))
  return {
    normalize,
    align(piece) {
      if (normalize(piece.text) === piece.text) return
      const { characters, changes } = normalizeWithChanges(piece.text, name)
      piece.transform(characters, changes)
    },
    // A space and the meta space are starters that never compose with what stands before them.
    cutBefore: (lead) => (lead === ' ' || lead === '▁' ? lead : undefined),
    // Composition could join ASCII punctuation with a mark after it; decomposition joins nothing.
    cutsAtAscii: name === 'NFD' || name === 'NFKD',
  }
}

export const nfc = defineNormalizer({ type: 'NFC', read: () => form('NFC') })
export const nfd = defineNormalizer({ type: 'NFD', read: () => form('NFD') })
export const nfkc = defineNormalizer({ type: 'NFKC', read: () => form('NFKC') })
export const nfkd = defineNormalizer({ type: 'NFKD', read: () => form('NFKD') })

export const lowercase = defineNormalizer({
  type: 'Lowercase',
  read: () => ({
    normalize: lowerCase,
    align: (piece) => piece.mapCharacters((character) => character.toLowerCase()),
    cutBefore: (lead) => lead,
    cutsAtAscii: true,
  }),
})
