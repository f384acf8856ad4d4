// A question with a window of its context, and with as many windows as a long context takes. A context is encoded once for all of its
// questions. Knows no answers.
import { ConfigError } from '../../core/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { hasSegments, specialTokenFrame } from './text-encoder.ts'

export interface QuestionWindow {
  ids: Uint32Array
  typeIds?: Uint8Array
  /** Where the context's tokens begin, and how many there are. */
  contextAt: number
  contextLength: number
  /** Of the context's tokens here: [start, end) of each in its text, one after another. */
  offsets: Int32Array
  /** Tokens of the question that did not fit. */
  truncatedTokens: number
}

export interface WindowOptions {
  maxLength: number
  /** Tokens that two windows share. */
  stride: number
  maxQuestionTokens: number
}

interface EncodedContext {
  ids: Uint32Array
  offsets: Int32Array
}

/** Contexts that are kept: files have the questions of a context one after another. */
const kept = 4

export const createWindows = (
  tokenizer: Tokenizer,
  { maxLength, stride, maxQuestionTokens }: WindowOptions,
): ((question: string, context: string) => QuestionWindow[]) => {
  const { parts, partTypes, textTypes } = specialTokenFrame(tokenizer, true)
  const typed = hasSegments(tokenizer)
  const special = parts.reduce((sum, { length }) => sum + length, 0)
  const contexts = new Map<string, EncodedContext>()
  const encoded = (context: string): EncodedContext => {
    const known = contexts.get(context)
    if (known !== undefined) return known
    const { ids, offsets } = tokenizer.encode(context, { addSpecialTokens: false })
    const made = { ids: Uint32Array.from(ids), offsets: Int32Array.from(offsets.flat()) }
    if (contexts.size >= kept) contexts.delete(contexts.keys().next().value!)
    contexts.set(context, made)
    return made
  }
  return (question, context) => {
    const whole = tokenizer.encodeIds(question)
    const asked = whole.subarray(0, maxQuestionTokens)
    const { ids: contextIds, offsets } = encoded(context)
    const room = maxLength - special - asked.length
    if (room <= stride)
      throw new ConfigError(
        `Expected room for more than \`stride\` ${stride} tokens of context beside a question of ${asked.length} for \`maxLength\`, got ${maxLength}. Raise it, or lower \`stride\`.`,
      )
    const windows: QuestionWindow[] = []
    for (let from = 0; ; from += room - stride) {
      const to = Math.min(contextIds.length, from + room)
      const texts = [asked, contextIds.subarray(from, to)]
      const ids = new Uint32Array(special + asked.length + to - from)
      const typeIds = typed ? new Uint8Array(ids.length) : undefined
      let at = 0
      let contextAt = 0
      parts.forEach((part, i) => {
        ids.set(part, at)
        typeIds?.set(partTypes[i], at)
        at += part.length
        if (i >= 2) return
        if (i === 1) contextAt = at
        ids.set(texts[i], at)
        typeIds?.fill(textTypes[i], at, at + texts[i].length)
        at += texts[i].length
      })
      windows.push({
        ids,
        ...(typeIds === undefined ? {} : { typeIds }),
        contextAt,
        contextLength: to - from,
        offsets: offsets.subarray(2 * from, 2 * to),
        truncatedTokens: whole.length - asked.length,
      })
      if (to === contextIds.length) return windows
    }
  }
}
