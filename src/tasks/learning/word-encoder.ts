// Sentences encoded as windows of tokens with the position of each word's first token. Sentences that are given as words only
// are joined by spaces; a running text is encoded as it is, as an added space changes the tokens of many tokenizers.
import { ConfigError } from '../../core/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'

export interface WordWindow {
  ids: Uint32Array
  typeIds?: Uint8Array
  /** Positions of the first tokens of the words that are labelled in this window. */
  positions: Uint32Array
  /** Indices of those words in the sentence. */
  words: Uint32Array
  /** How many words begin in each of those tokens, such as a bracket and a comma: consecutive ones, from the index in `words`. */
  covered: Uint32Array
  truncatedTokens: number
}

/** Encodes sentences given as words, of a text where they are from one. @throws ConfigError when special tokens leave no capacity for text */
export const createWordEncoder = (
  tokenizer: Tokenizer,
  { maxLength, stride }: { maxLength: number; stride: number },
): ((words: readonly string[], text?: string) => WordWindow[]) => {
  const special = tokenizer.encode('a').specialTokensMask.reduce((sum, mark) => sum + mark, 0)
  const capacity = maxLength - special
  if (capacity < 1)
    throw new ConfigError(`\`maxLength\` ${maxLength} leaves no tokens for text next to the special tokens: raise it.`)
  const truncation = { maxLength, stride: Math.min(stride, Math.floor(capacity / 2)), side: 'right' as const }
  return (words, text = words.join(' ')) => {
    const wordAt = new Int32Array(text.length).fill(-1)
    let at = 0
    words.forEach((word, i) => {
      const start = text.indexOf(word, at)
      at = start + word.length
      wordAt.fill(i, start, at)
    })
    const first = tokenizer.encode(text, { truncation })
    const windows = [first, ...first.overflowing]
    // The best window for each word: the one with most context around its first token. A window that begins inside a word does
    // not have it.
    const best = new Map<number, { window: number; position: number; margin: number; covered: number }>()
    // Only the word's first token in the sentence counts, in any window.
    const startOf = new Map<number, number>()
    windows.forEach(({ offsets, sequenceIds }, window) => {
      let before = -1
      for (let position = 0; position < offsets.length; position++) {
        const [start, end] = offsets[position]
        if (sequenceIds[position] === null || start === end) continue
        const overlapped = wordsOf(wordAt, start, end).filter((word) => word > before)
        before = overlapped.at(-1) ?? before
        const begun = overlapped.filter((word) => (startOf.get(word) ?? start) === start)
        for (const word of begun) startOf.set(word, start)
        if (begun.length === 0) continue
        const margin = Math.min(position, offsets.length - 1 - position)
        const known = best.get(begun[0])
        if (known === undefined || margin > known.margin)
          best.set(begun[0], { window, position, margin, covered: begun.length })
      }
    })
    const chosen: { position: number; word: number; covered: number }[][] = windows.map(() => [])
    for (const [word, { window, position, covered }] of best) chosen[window].push({ position, word, covered })
    return windows.map(({ ids, typeIds }, i) => {
      const own = chosen[i].sort((a, b) => a.position - b.position)
      return {
        ids: Uint32Array.from(ids),
        ...(typeIds.some((type) => type !== 0) ? { typeIds: Uint8Array.from(typeIds) } : {}),
        positions: Uint32Array.from(own, ({ position }) => position),
        words: Uint32Array.from(own, ({ word }) => word),
        covered: Uint32Array.from(own, ({ covered }) => covered),
        truncatedTokens: 0,
      }
    })
  }
}

/** Indices of the words that a token overlaps, ascending; none for white space. */
const wordsOf = (wordAt: Int32Array, start: number, end: number): number[] => [
  ...new Set(wordAt.subarray(start, end).filter((word) => word >= 0)),
]
