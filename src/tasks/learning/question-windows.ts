// Windows of a question with its context: a long context becomes several overlapping windows, each with the whole question. A
// context is encoded once for all of its questions.
import { ConfigError } from '../../core/index.ts'
import { hasSegments, specialTokenFrame, type Tokenizer } from '../../tokenizers/index.ts'

/** A question and a window of its context as token ids. */
export interface QuestionWindow {
  ids: Uint32Array
  typeIds?: Uint8Array
  /** Index of the first token of the context, and the number of its tokens in this window. */
  contextAt: number
  contextLength: number
  /** UTF-16 offsets of the context's tokens in its text: start, end, start, end … */
  offsets: Int32Array
  /** Tokens of the question beyond `maxQuestionTokens`, in the first window; 0 in the others. */
  truncatedTokens: number
}

/** Contexts whose encoding is cached: the questions of a context follow each other in files. */
const cachedContexts = 4

/** Default of `stride` in windows with room for twice as many tokens of context. */
export const defaultStride = 128

/** Tokens of a window for question and context together. */
export const roomOfWindow = (tokenizer: Tokenizer, maxLength: number): number =>
  specialTokenFrame(tokenizer, true).parts.reduce((left, { length }) => left - length, maxLength)

/**
 * Encodes questions with their contexts.
 * @param options.stride tokens that consecutive windows share (default: 128, at most half of the tokens next to the question)
 * @throws ConfigError where a window has no context, or no more tokens of it than the stride
 */
export const createWindows = (
  tokenizer: Tokenizer,
  { maxLength, stride: given, maxQuestionTokens }: { maxLength: number; stride?: number; maxQuestionTokens: number },
): ((question: string, context: string) => QuestionWindow[]) => {
  const { parts, partTypes, textTypes } = specialTokenFrame(tokenizer, true)
  const typed = hasSegments(tokenizer)
  const room = roomOfWindow(tokenizer, maxLength)
  const special = maxLength - room
  const contexts = new Map<string, Pick<QuestionWindow, 'ids' | 'offsets'>>()
  const encoded = (context: string) => {
    const known = contexts.get(context)
    if (known !== undefined) return known
    const { ids, offsets } = tokenizer.encode(context, { addSpecialTokens: false })
    const made = { ids: Uint32Array.from(ids), offsets: Int32Array.from(offsets.flat()) }
    if (contexts.size >= cachedContexts) contexts.delete(contexts.keys().next().value!)
    contexts.set(context, made)
    return made
  }
  return (question, context) => {
    const whole = tokenizer.encodeIds(question)
    const questionIds = whole.subarray(0, maxQuestionTokens)
    const { ids: contextIds, offsets } = encoded(context)
    const capacity = room - questionIds.length
    const left = `\`maxLength\` ${maxLength} leaves ${Math.max(0, capacity)} tokens of context next to a question of ${questionIds.length} tokens`
    if (capacity < 1) throw new ConfigError(`${left}: raise \`maxLength\` or lower \`settings.maxQuestionTokens\`.`)
    const stride = given ?? Math.min(defaultStride, Math.floor(capacity / 2))
    if (capacity <= stride)
      throw new ConfigError(
        `${left}, which must be more than \`settings.stride\` ${stride}: raise \`maxLength\`, or lower or remove \`settings.stride\`.`,
      )
    const windows: QuestionWindow[] = []
    for (let from = 0; ; from += capacity - stride) {
      const to = Math.min(contextIds.length, from + capacity)
      const texts = [questionIds, contextIds.subarray(from, to)]
      const ids = new Uint32Array(special + questionIds.length + to - from)
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
        truncatedTokens: from === 0 ? whole.length - questionIds.length : 0,
      })
      if (to === contextIds.length) return windows
    }
  }
}
