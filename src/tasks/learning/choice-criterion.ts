// The criterion of multiple choice: cross entropy over the scores of a record's choices. Records may differ in their number of choices.
import type { BodyInputs } from '../../models/index.ts'
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
import type { TaskExample } from '../task.ts'
import { expectHead } from './row-criterion.ts'

export interface RowsExample extends TaskExample {
  answer: number | undefined
}

export interface ChoiceBatch extends Batch {
  /** int64 [B*N]: row indices of each record's choices; the last one repeats as padding. */
  rows: Tensor
  /** uint8 [B,N]: 1 for padding. */
  beyond: Tensor
  /** int64 [B]; -100 where the answer is not known. */
  answers: Tensor
  known: number
  counts: readonly number[]
}

const term = 'multiple-choice'

export const createChoiceCriterion = <Example extends RowsExample>(padId: number): Criterion<Example> => ({
  unpadded: true,
  distils: true,
  tokens: ({ ids }) => ids.length,
  weights: ({ answer }) => ({ [term]: answer === undefined ? 0 : 1 }),
  collate(examples, options): ChoiceBatch {
    const { inputs, tokens } = placeSequences(examples, padId, options)
    const counts = examples.map(({ starts }) => starts.length)
    const most = Math.max(...counts)
    const rows = new Int32Array(examples.length * most)
    const beyond = new Uint8Array(rows.length)
    let first = 0
    counts.forEach((count, i) => {
      for (let n = 0; n < most; n++) {
        rows[i * most + n] = first + Math.min(n, count - 1)
        beyond[i * most + n] = n < count ? 0 : 1
      }
      first += count
    })
    const answers = Int32Array.from(examples, ({ answer }) => answer ?? -100)
    return {
      // The head expects a dimension of choices: each row is passed as a single choice, and `loss` groups the rows by record.
      inputs: withChoices(inputs),
      tokens,
      rows: toInt64(rows, [rows.length], options.device),
      beyond: Tensor.from(beyond, { shape: [examples.length, most], dtype: 'uint8', device: options.device }),
      answers: toInt64(answers, [answers.length], options.device),
      known: examples.filter(({ answer }) => answer !== undefined).length,
      counts,
    }
  },
  loss(model, batch, { metrics, teacher: given } = {}) {
    const { inputs, rows, beyond, answers, known } = batch as ChoiceBatch
    expectHead(model, 'multiple-choice')
    const scoresOf = (logits: Tensor, padding: number) =>
      logits.flatten().indexSelect(0, rows).view(beyond.shape).maskedFill(beyond.ne(0), padding)
    const logits = model.forward(inputs).logits.to('float32')
    const scores = scoresOf(logits, Number.NEGATIVE_INFINITY)
    const sum = scores.crossEntropy(answers, { reduction: 'sum', ignoreIndex: -100 })
    const measured: Record<string, Metric> = {}
    if (metrics) measured.accuracy = { sum: noGrad(() => scores.argmax(-1).eq(answers).sum()), weight: known }
    const terms = withTeacher({ name: term, sum, weight: known, scale: 1 }, given, (teacher) => {
      const theirs = scoresOf(teacherLogits(teacher, inputs), unlikely)
      return rowDivergence(scoresOf(logits, unlikely), theirs, teacher).mul(answers.ge(0)).sum()
    })
    return { terms, metrics: measured }
  },
  describe({ ids, starts, answer }, decode) {
    const rows = starts.map((start, i) => decode(Array.from(ids.subarray(start, starts[i + 1] ?? ids.length))))
    return rows.map((row, i) => (i === answer ? `⟦${row}⟧` : row)).join('\n')
  },
})

const withChoices = (inputs: BodyInputs): BodyInputs => {
  const { inputIds, attentionMask, typeIds } = inputs
  return {
    ...inputs,
    inputIds: inputIds.unsqueeze(1),
    ...(attentionMask === undefined ? {} : { attentionMask: attentionMask.unsqueeze(1) }),
    ...(typeIds === undefined ? {} : { typeIds: typeIds.unsqueeze(1) }),
  }
}

/** Logits of all rows -> logits of each record's choices. */
export const splitChoices = (logits: Tensor, batch: Batch): Float32Array[] => {
  const values = logits.toFloat32Array()
  let first = 0
  return (batch as ChoiceBatch).counts.map((count) => values.subarray(first, (first += count)))
}
