// The four Unicode normalization forms with alignment to the original text. V8 computes the forms; the alignment
// follows the Rust crate step by step, so that offsets are equal.
// @source Unicode Standard Annex 15
import type { Normalizer } from './normalizer.ts'

const ALL_BELOW_300 = /^[\0-\u02ff]*$/
const ALL_ASCII = /^[\0-\x7f]*$/

/** The normalizer of a form. */
export const unicodeForm = (form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): Normalizer => {
  const composes = form === 'NFC' || form === 'NFKC'
  // Text of these characters only is already in the form.
  const unchanged = form === 'NFC' ? ALL_BELOW_300 : ALL_ASCII
  const normalize = (text: string) => (unchanged.test(text) ? text : text.normalize(form))
  return {
    normalize,
    align(piece) {
      if (normalize(piece.text) === piece.text) return
      const decomposed = decompose(piece.text, form === 'NFC' || form === 'NFD' ? 'NFD' : 'NFKD')
      const { characters, changes } = composes ? compose(decomposed) : decomposed
      piece.transform(characters, changes)
    },
    // A space and `▁` never compose with the characters before them.
    safeSplitBefore: (lead) => (lead === ' ' || lead === '▁' ? lead : undefined),
    // Composition could join ASCII punctuation with a combining mark after it; decomposition cannot.
    splitsSafelyAtAscii: !composes,
  }
}

/** The characters of the normalized text and their changes, as arguments of `AlignedPiece.transform`. */
interface Changes {
  characters: string[]
  changes: number[]
}

const decompose = (text: string, form: 'NFD' | 'NFKD'): Changes => {
  const characters: string[] = []
  const changes: number[] = []
  for (const character of text) {
    let change = 0
    for (const part of character.normalize(form)) {
      let at = characters.length
      // Insert marks in canonical order, each with its own change; the order of equal classes is kept.
      if (isNonStarter(part)) while (at > 0 && isNonStarter(characters[at - 1]) && swaps(characters[at - 1], part)) at--
      characters.splice(at, 0, part)
      changes.splice(at, 0, change)
      change = 1
    }
  }
  return { characters, changes }
}

const compose = ({ characters, changes }: Changes): Changes => {
  const result: Changes = { characters: [], changes: [] }
  let starter = -1 // index of the current starter in the result
  let last: string | undefined // the last mark after it that did not combine
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i]
    const mark = isNonStarter(character)
    if (starter >= 0) {
      const blocked = last !== undefined && (!mark || sameClass(last, character))
      const pair = blocked ? undefined : composition(result.characters[starter], character)
      if (pair !== undefined) {
        result.characters[starter] = pair
        result.changes[starter] += changes[i] - 1
        continue
      }
    }
    result.characters.push(character)
    result.changes.push(changes[i])
    if (!mark) {
      starter = result.characters.length - 1
      last = undefined
    } else if (starter >= 0) last = character
  }
  return result
}

const YPOGEGRAMMENI = '\u0345' // of the highest combining class, 240
const nonStarters = new Map<string, boolean>()

/** Whether the combining class is not 0: such a character sorts before a mark of the highest class. */
const isNonStarter = (character: string): boolean => {
  if (character < '\u0300') return false
  let answer = nonStarters.get(character)
  if (answer === undefined) {
    answer = character === YPOGEGRAMMENI || swaps(YPOGEGRAMMENI, character)
    if (nonStarters.size < 100_000) nonStarters.set(character, answer)
  }
  return answer
}

const swaps = (first: string, second: string): boolean =>
  first !== second && (first + second).normalize('NFD') === second + first

const sameClass = (first: string, second: string): boolean => !swaps(first, second) && !swaps(second, first)

const composition = (first: string, second: string): string | undefined => {
  const composed = (first + second).normalize('NFC')
  return composed.length <= 2 && composed !== first + second && [...composed].length === 1 ? composed : undefined
}
