// Token ids of a text that continues another one. Tokenizers may treat the beginning of a text in a special way, such as by a
// space before its first word: a continuation must not have that.
import type { Span } from './text.ts'
import type { Tokenizer } from './tokenizer.ts'

/** Texts to put before a continuation: the first whose tokens stay apart from it is used. */
const anchors = ['\n', '.', 'a', '1']

/**
 * Token ids of `text` as the continuation of another text, without special tokens of the post-processor.
 * @param literal sorted ranges of the text in which special tokens are encoded as plain text
 */
export const encodeContinuation = (tokenizer: Tokenizer, text: string, literal: readonly Span[] = []): number[] => {
  if (text === '') return []
  const idsOf = (whole: string, shift: number): number[] =>
    literal.length === 0
      ? Array.from(tokenizer.encodeIds(whole))
      : tokenizer.encode(whole, {
          addSpecialTokens: false,
          literal: literal.map(([start, end]): Span => [start + shift, end + shift]),
        }).ids
  if (!marksBeginnings(tokenizer)) return idsOf(text, 0)
  for (const anchor of anchors) {
    const before = tokenizer.encodeIds(anchor)
    const ids = idsOf(anchor + text, anchor.length)
    if (before.length > 0 && before.every((id, i) => id === ids[i])) return ids.slice(before.length)
  }
  return idsOf(text, 0)
}

const known = new WeakMap<Tokenizer, boolean>()

/** Whether the tokenizer encodes the same characters differently at the beginning of a text. */
const marksBeginnings = (tokenizer: Tokenizer): boolean => {
  const found = known.get(tokenizer)
  if (found !== undefined) return found
  const differs = ['a', 'Is', '.'].some((text) => {
    const alone = tokenizer.encodeIds(text)
    const inside = tokenizer.encodeIds(`\n${text}`)
    return !alone.every((id, i) => id === inside[inside.length - alone.length + i])
  })
  known.set(tokenizer, differs)
  return differs
}
