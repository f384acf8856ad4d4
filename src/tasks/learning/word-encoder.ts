// Sentences given as words, encoded as windows of tokens with the position of each word's first token. Words are joined by spaces,
// so that a model sees the same tokens as in running text.
import { ConfigError } from '../../core/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'

/** A window of a sentence as token ids. */
export interface WordWindow {
  ids: Uint32Array
  typeIds?: Uint8Array
  /** Positions of the first tokens of the words that are labelled in this window. */
  positions: Uint32Array
  /** Indices of those words in the sentence. */
  words: Uint32Array
  truncatedTokens: number
}

/** Encodes sentences given as words. @throws ConfigError when special tokens leave no capacity for text */
export const createWordEncoder = (
  tokenizer: Tokenizer,
  { maxLength, stride }: { maxLength: number; stride: number },
): ((words: readonly string[]) => WordWindow[]) => {
  const special = tokenizer.encode('a').specialTokensMask.reduce((sum, mark) => sum + mark, 0)
  const capacity = maxLength - special
  if (capacity < 1)
    throw new ConfigError(`\`maxLength\` ${maxLength} leaves no tokens for text next to the special tokens: raise it.`)
  const truncation = { maxLength, stride: Math.min(stride, Math.floor(capacity / 2)), side: 'right' as const }
  return (words) => {
    const wordAt = new Int32Array(words.reduce((sum, word) => sum + word.length + 1, 0)).fill(-1)
    let at = 0
    words.forEach((word, i) => {
      wordAt.fill(i, at, at + word.length)
      at += word.length + 1
    })
    const first = tokenizer.encode(words.join(' '), { truncation })
    const windows = [first, ...first.overflowing]
    // The best window for each word: the one with most context around its first token. A window that begins inside a word does
    // not have it.
    const best = new Map<number, { window: number; position: number; margin: number }>()
    const begun = new Set<string>()
    windows.forEach(({ offsets, sequenceIds }, window) => {
      let before = -1
      for (let position = 0; position < offsets.length; position++) {
        const [start, end] = offsets[position]
        if (sequenceIds[position] === null || start === end) continue
        const word = wordOf(wordAt, start, end)
        if (word < 0 || word === before) continue
        before = word
        const key = `${word} ${start}`
        // Only the word's first token in the sentence counts, in any window.
        if (!begun.has(key) && best.has(word)) continue
        begun.add(key)
        const margin = Math.min(position, offsets.length - 1 - position)
        const known = best.get(word)
        if (known === undefined || margin > known.margin) best.set(word, { window, position, margin })
      }
    })
    const chosen: { position: number; word: number }[][] = windows.map(() => [])
    for (const [word, { window, position }] of best) chosen[window].push({ position, word })
    return windows.map(({ ids, typeIds }, i) => {
      const own = chosen[i].sort((a, b) => a.position - b.position)
      return {
        ids: Uint32Array.from(ids),
        ...(typeIds.some((type) => type !== 0) ? { typeIds: Uint8Array.from(typeIds) } : {}),
        positions: Uint32Array.from(own, ({ position }) => position),
        words: Uint32Array.from(own, ({ word }) => word),
        truncatedTokens: 0,
      }
    })
  }
}

/** Index of the first word that a token overlaps; -1 for white space. */
const wordOf = (wordAt: Int32Array, start: number, end: number): number => {
  for (let i = start; i < end; i++) if (wordAt[i] >= 0) return wordAt[i]
  return -1
}
