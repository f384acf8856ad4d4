// Sentences given as words, as windows of pieces, with the place of each word's first piece. Words are joined by spaces, so that a
// model sees the same pieces as in running text. Knows no tags.
import { ConfigError } from '../../core/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'

export interface WordWindow {
  ids: Uint32Array
  typeIds?: Uint8Array
  /** Positions of the first pieces of the words that are asked here. */
  positions: Uint32Array
  /** Those words' places in the sentence. */
  words: Uint32Array
  truncatedTokens: number
}

export const createWordEncoder = (
  tokenizer: Tokenizer,
  { maxLength, stride }: { maxLength: number; stride: number },
): ((words: readonly string[]) => WordWindow[]) => {
  const special = tokenizer.encode('a').specialTokensMask.reduce((sum, mark) => sum + mark, 0)
  const room = maxLength - special
  if (room < 1)
    throw new ConfigError(`Expected room for text beside special tokens for \`maxLength\`, got ${maxLength}. Raise it.`)
  const truncation = { maxLength, stride: Math.min(stride, Math.floor(room / 2)), side: 'right' as const }
  return (words) => {
    const wordAt = new Int32Array(words.reduce((sum, word) => sum + word.length + 1, 0)).fill(-1)
    let at = 0
    words.forEach((word, i) => {
      wordAt.fill(i, at, at + word.length)
      at += word.length + 1
    })
    const first = tokenizer.encode(words.join(' '), { truncation })
    const windows = [first, ...first.overflowing]
    // Where each word begins in each window that has it; a window that begins inside a word does not have it.
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
        // The first piece of the whole sentence that belongs to the word, in whichever window.
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

/** The first word that a piece touches; -1 for one that is all space. */
const wordOf = (wordAt: Int32Array, start: number, end: number): number => {
  for (let i = start; i < end; i++) if (wordAt[i] >= 0) return wordAt[i]
  return -1
}
