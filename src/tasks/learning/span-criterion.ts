// The criterion of extractive question answering: cross entropy of the first and the last token of the answer over the tokens of an
// example; the first token of the example stands for no answer. Padding is masked, so that padded and packed batches have the same loss.
// @source Devlin et al. 2019, arXiv:1810.04805, section 4.2
import {
  type Batch,
  type Criterion,
  type Metric,
  placeSequences,
  rowDivergence,
  teacherLogits,
  toInt64,
  unlikely,
  withTeacher,
} from '../../objectives/index.ts'
import { noGrad, Tensor } from '../../tensor/index.ts'
import type { ExampleOutput, TaskExample } from '../task.ts'
import type { QuestionWindow } from './question-windows.ts'
import { expectHead } from './row-criterion.ts'
import { type ExampleSpans, spansOf } from './token-criterion.ts'

interface SpanExample extends TaskExample {
  answer: readonly [first: number, last: number] | undefined
}

interface SpanBatch extends Batch {
  /** int64 [B*T]: indices of each example's tokens in the batch; the last one repeats as padding. */
  places: Tensor
  /** uint8 [B,T]: 1 for padding. */
  beyond: Tensor
  /** int64 [B] each; -100 where the answer is not known. */
  firsts: Tensor
  lasts: Tensor
  known: number
  spans: ExampleSpans
}

const term = 'extractive-qa'

export const createSpanCriterion = <Example extends SpanExample>(padId: number): Criterion<Example> => ({
  unpadded: true,
  distils: true,
  tokens: ({ ids }) => ids.length,
  weights: ({ answer }) => ({ [term]: answer === undefined ? 0 : 1 }),
  collate(examples, options): SpanBatch {
    const placed = placeSequences(examples, padId, options)
    const spans = spansOf(examples, placed)
    const length = Math.max(...spans.lengths)
    const places = new Int32Array(examples.length * length)
    const beyond = new Uint8Array(places.length)
    spans.lengths.forEach((own, i) => {
      for (let t = 0; t < length; t++) {
        places[i * length + t] = spans.firsts[i] + Math.min(t, own - 1)
        beyond[i * length + t] = t < own ? 0 : 1
      }
    })
    const border = (which: 0 | 1) =>
      toInt64(
        Int32Array.from(examples, ({ answer }) => answer?.[which] ?? -100),
        [examples.length],
        options.device,
      )
    return {
      inputs: placed.inputs,
      tokens: placed.tokens,
      places: toInt64(places, [places.length], options.device),
      beyond: Tensor.from(beyond, { shape: [examples.length, length], dtype: 'uint8', device: options.device }),
      firsts: border(0),
      lasts: border(1),
      known: examples.filter(({ answer }) => answer !== undefined).length,
      spans,
    }
  },
  loss(model, batch, { metrics, teacher: given } = {}) {
    const { inputs, places, beyond, firsts, lasts, known } = batch as SpanBatch
    expectHead(model, 'question-answering')
    const hidden = beyond.ne(0)
    const bordersOf = (logits: Tensor, padding: number) => {
      const scores = logits
        .flatten(0, 1)
        .indexSelect(0, places)
        .view([...beyond.shape, 2]) // [B,T,2]
      return ([0, 1] as const).map((which) => scores.select(2, which).maskedFill(hidden, padding))
    }
    const logits = model.forward(inputs).logits.to('float32')
    const [first, last] = bordersOf(logits, Number.NEGATIVE_INFINITY)
    const each = (border: Tensor, target: Tensor) =>
      border.crossEntropy(target, { reduction: 'sum', ignoreIndex: -100 })
    const sum = each(first, firsts).add(each(last, lasts)).mul(0.5)
    const measured: Record<string, Metric> = {}
    if (metrics)
      measured.accuracy = {
        sum: noGrad(() => first.argmax(-1).eq(firsts).logicalAnd(last.argmax(-1).eq(lasts)).sum()),
        weight: known,
      }
    const terms = withTeacher({ name: term, sum, weight: known, scale: 1 }, given, (teacher) => {
      const theirs = bordersOf(teacherLogits(teacher, inputs), unlikely)
      const each = bordersOf(logits, unlikely).map((own, i) => rowDivergence(own, theirs[i], teacher))
      return each[0].add(each[1]).mul(firsts.ge(0)).sum().mul(0.5)
    })
    return { terms, metrics: measured }
  },
  describe({ ids, answer }, decode) {
    const all = Array.from(ids)
    if (answer === undefined) return decode(all)
    const [first, last] = answer
    return `${decode(all.slice(0, first))}⟦${decode(all.slice(first, last + 1))}⟧${decode(all.slice(last + 1))}`
  },
})

interface AnswerSpan {
  score: number
  /** UTF-16 offset in the context; `end` is exclusive. */
  start: number
  end: number
}

/** Distinct spans, best first; equal scores in the order of the text. Logits are [T,2]. */
export const bestSpans = (
  outputs: readonly ExampleOutput<TaskExample & Pick<QuestionWindow, 'contextAt' | 'contextLength' | 'offsets'>>[],
  { nBest, maxAnswerTokens }: { nBest: number; maxAnswerTokens: number },
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
