// The best answer spans over all windows of a context, by the sum of the logits of first and last token.
import type { ExampleOutput, TaskExample } from '../task.ts'

/** A span of the context's text. */
export interface AnswerSpan {
  score: number
  /** UTF-16 offset in the context; `end` is exclusive. */
  start: number
  end: number
}

interface Window extends TaskExample {
  contextAt: number
  contextLength: number
  offsets: Int32Array
}

export interface SpanOptions {
  nBest: number
  maxAnswerTokens: number
}

/** Distinct spans, best first; equal scores in the order of the text. Logits are [T,2]. */
export const bestSpans = (
  outputs: readonly ExampleOutput<Window>[],
  { nBest, maxAnswerTokens }: SpanOptions,
): AnswerSpan[] => {
  const found = new Map<string, AnswerSpan>()
  for (const { example, logits } of outputs) {
    const { contextAt, contextLength, offsets } = example
    const firsts = largest(logits, contextAt, contextLength, 0, nBest)
    const lasts = largest(logits, contextAt, contextLength, 1, nBest)
    for (const first of firsts)
      for (const last of lasts) {
        if (last < first || last - first + 1 > maxAnswerTokens) continue
        const [start, end] = [offsets[2 * first], offsets[2 * last + 1]]
        if (end <= start) continue
        const score = logits[2 * (contextAt + first)] + logits[2 * (contextAt + last) + 1]
        const key = `${start} ${end}`
        const known = found.get(key)
        if (known === undefined || score > known.score) found.set(key, { score, start, end })
      }
  }
  return [...found.values()].sort((a, b) => b.score - a.score || a.start - b.start || a.end - b.end).slice(0, nBest)
}

/** Indices of the context's tokens with the largest logits as first (0) or last (1) token. */
const largest = (logits: Float32Array, at: number, length: number, border: 0 | 1, count: number): number[] => {
  const scoreOf = (i: number) => logits[2 * (at + i) + border]
  return Array.from({ length }, (_, i) => i)
    .sort((a, b) => scoreOf(b) - scoreOf(a) || a - b)
    .slice(0, count)
}
