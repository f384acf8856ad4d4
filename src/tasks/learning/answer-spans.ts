// The best spans of the windows of a context, by the sum of the scores of first and last token. Knows no question.
import type { ExampleOutput, TaskExample } from '../task.ts'

export interface AnswerSpan {
  score: number
  /** In the context's text. */
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

/** Best first; equal scores in the order of the text. No span stands there twice. Logits are [T,2]. */
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

/** Places among the context's tokens with the largest scores of a kind. */
const largest = (logits: Float32Array, at: number, length: number, kind: 0 | 1, most: number): number[] => {
  const scoreOf = (i: number) => logits[2 * (at + i) + kind]
  return Array.from({ length }, (_, i) => i)
    .sort((a, b) => scoreOf(b) - scoreOf(a) || a - b)
    .slice(0, most)
}
