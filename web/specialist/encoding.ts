// Words, tokens and special tokens of a text. transformers.js gives no offsets of tokens, so words are encoded one by one.
import { type PreTrainedTokenizer, Tensor } from '@huggingface/transformers'

/** A word of a text, with its token ids and the end of each token within the word. */
export interface EncodedWord {
  text: string
  start: number
  ids: number[]
  /** End of each token in the word; that of the word where a token is another text, such as an unknown one. */
  ends: number[]
}

const matches = (text: string, pattern: RegExp) =>
  [...text.matchAll(pattern)].map((found) => ({ text: found[0], start: found.index }))

const endsOf = (tokenizer: PreTrainedTokenizer, word: string, ids: readonly number[]): number[] => {
  const lengths = ids.map((id) => tokenizer.decode([id]).trim().replace(/^##/, '').length)
  const total = lengths.reduce((sum, length) => sum + length, 0)
  if (total !== word.length) return ids.map(() => word.length)
  let end = 0
  return lengths.map((length) => (end += length))
}

/** Encodes the words of a text as they are in running text: the first alone, others behind a space or behind the character before. */
export const encodeWords = (tokenizer: PreTrainedTokenizer, text: string, pattern: RegExp): EncodedWord[] => {
  const encode = (part: string) => tokenizer.encode(part, { add_special_tokens: false })
  return matches(text, pattern).map(({ text: word, start }, i) => {
    const alone = encode(word)
    const [previous = ''] = text.slice(0, start).match(/.$/su) ?? []
    const isSpaced = /\s/.test(previous)
    const before = encode(isSpaced ? 'a' : previous)
    const after = encode(isSpaced ? `a ${word}` : previous + word)
    const ids = i > 0 && before.every((id, at) => after[at] === id) ? after.slice(before.length) : alone
    return { text: word, start, ids, ends: endsOf(tokenizer, word, ids) }
  })
}

/** Special tokens around one text, or two. */
export interface Frame {
  /** Ids before each text, and behind the last. */
  parts: number[][]
  /** Whether the second text has segment 1. */
  segments: boolean
}

/** Learns the special tokens from an example. */
export const frameOf = (tokenizer: PreTrainedTokenizer, texts: 1 | 2): Frame => {
  const plain = tokenizer.encode('a', { add_special_tokens: false })
  const options = texts === 2 ? { text_pair: 'a' } : {}
  const whole = tokenizer.encode('a', options)
  const parts: number[][] = []
  let from = 0
  for (let text = 0; text < texts; text++) {
    let at = from
    while (at < whole.length && !plain.every((id, i) => whole[at + i] === id)) at++
    parts.push(whole.slice(from, at))
    from = at + plain.length
  }
  const { token_type_ids: types = { data: [] } } = tokenizer('a', { ...options, return_token_type_ids: true })
  return { parts: [...parts, whole.slice(from)], segments: Array.from(types.data as ArrayLike<bigint>).includes(1n) }
}

/** Number of special tokens. */
export const frameSize = ({ parts }: Frame): number => parts.reduce((sum, part) => sum + part.length, 0)

const row = (values: readonly number[]): Tensor =>
  new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length])

/** Inputs of the model for texts as ids, and the position of the last text's first token. */
export const framed = ({ parts, segments }: Frame, texts: readonly (readonly number[])[]) => {
  const ids: number[] = []
  const types: number[] = []
  let offset = 0
  for (const [i, part] of parts.entries()) {
    const own = [...part, ...(texts[i] ?? [])]
    if (i === texts.length - 1) offset = ids.length + part.length
    // Special tokens between two texts belong to the first, those at the end to the last.
    types.push(...part.map(() => Math.max(0, i - 1)), ...(texts[i] ?? []).map(() => i))
    ids.push(...own)
  }
  const inputs = {
    input_ids: row(ids),
    attention_mask: row(ids.map(() => 1)),
    ...(segments ? { token_type_ids: row(types) } : {}),
  }
  return { inputs, offset }
}
