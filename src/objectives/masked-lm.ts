// Masked language modelling (BERT, RoBERTa): masked tokens are predicted from both sides, with new masks each time that
// a row is used (dynamic masking). The head computes the predicted tokens only.
// @source Devlin et al. 2019, arXiv:1810.04805; Liu et al. 2019, arXiv:1907.11692 (dynamic masks)
import { z } from 'zod'
import type { BodyInputs, Model } from '../models/index.ts'
import type { Tensor } from '../tensor/index.ts'
import { vocabularyDivergence, withTeacher } from './distillation.ts'
import { accuracyOf, vocabularyHead, vocabularyLoss } from './language-loss.ts'
import { createMasker, type Masked, maskingFields, sharesFault, sharesFit } from './masking.ts'
import { type Batch, defineObjective, type Objective, type ObjectiveContext, type TextRow } from './objective.ts'
import { expectLength, type Layout, layOut } from './row-layout.ts'
import {
  type PlacedBatch,
  placeSequences,
  placesOf,
  type Sequences,
  type ShownTokens,
  sequencesOf,
  toInt64,
} from './sequences.ts'

const schema = z
  .strictObject({
    ...maskingFields,
    documents: z
      .enum(['separate', 'joined'])
      .default('separate')
      .describe(
        'separate: no attention between the documents of a row; joined: one sequence with separators, as RoBERTa',
      ),
  })
  .refine(sharesFit, sharesFault)

/** An example of masked language modelling. */
export interface MaskedExample extends Sequences, Masked {
  cut: number
}

/** A batch with predicted tokens. */
export interface MaskedBatch extends Batch {
  /** int64 [M]: indices of the predicted tokens among B*T. */
  picked: ReturnType<typeof toInt64>
  /** int64 [n+1]: cumulative number of them in each sequence. */
  pickedStarts: ReturnType<typeof toInt64>
  /** int64 [M] */
  labels: ReturnType<typeof toInt64>
  trained: number
}

const term = 'masked-lm'

export const maskedLm = defineObjective({
  type: 'masked-lm',
  source: 'arXiv:1810.04805, arXiv:1907.11692',
  config: schema,
  head: 'masked-lm',
  create({ documents, ...masking }, { vocabulary, maxLength }): Objective<MaskedExample> {
    const masker = createMasker(masking, vocabulary)
    const { pad = 0 } = vocabulary
    const { rows, lay } = enclosedRows(term, documents, { vocabulary, maxLength })
    return {
      rows,
      unpadded: true,
      distils: true,
      example(row, random) {
        const { ids, starts, documents: borders, cut } = lay(row)
        return { ids, starts, cut, ...masker.mask(ids, borders, random) }
      },
      tokens: ({ ids }) => ids.length,
      cut: ({ cut }) => cut,
      weights: ({ positions }) => ({ [term]: positions.length }),
      collate(examples, how) {
        const placed = placeSequences(examples, pad, how)
        return { inputs: placed.inputs, tokens: placed.tokens, ...predictedTokens(examples, placed, how.device) }
      },
      loss(model, batch, how = {}) {
        const { inputs, labels, trained: weight } = batch as MaskedBatch
        const head = vocabularyHead(model, 'masked-lm')
        const pickedOf = (one: Model) => hiddenOf(one, inputs, batch as MaskedBatch)
        const { sum, correct, prepared } = vocabularyLoss(head, pickedOf(model), labels, how)
        const terms = withTeacher({ name: term, sum, weight, scale: 1 }, how.teacher, (teacher) =>
          vocabularyDivergence({ head, prepared, labels }, teacher, pickedOf, 'masked-lm'),
        )
        return { terms, metrics: accuracyOf(correct, weight) }
      },
      describe: describeMasked,
      show: showMasked,
    }
  },
})

/** Layout of rows whose documents are enclosed in the class and separator tokens, if the vocabulary has them. */
export const enclosedRows = (
  objective: string,
  documents: 'separate' | 'joined',
  { vocabulary: { cls, sep }, maxLength }: ObjectiveContext,
) => {
  const around = (cls === undefined ? 0 : 1) + (sep === undefined ? 0 : 1)
  expectLength(maxLength, around + 1, objective)
  const separate = documents === 'separate'
  const layout = { separate, open: cls, close: sep, closes: 'all' as const, limit: maxLength }
  return { rows: { length: maxLength - around, overlap: 0 }, lay: (row: TextRow): Layout => layOut(row, layout) }
}

/** Indices of the predicted tokens in the batch, and their labels. */
export const predictedTokens = (
  examples: readonly (Sequences & Masked)[],
  { firsts }: Pick<PlacedBatch, 'firsts'>,
  device?: string,
): Pick<MaskedBatch, 'picked' | 'pickedStarts' | 'labels' | 'trained'> => {
  const places = placesOf(examples, firsts, (e) => examples[e].positions)
  const edges = new Int32Array(firsts.length + 1)
  for (let sequence = 0, at = 0; sequence < firsts.length; sequence++) {
    const end = firsts[sequence + 1] ?? Number.POSITIVE_INFINITY
    while (at < places.length && places[at] < end) at++
    edges[sequence + 1] = at
  }
  const labels = new Int32Array(places.length)
  let at = 0
  for (const { originals } of examples) {
    labels.set(originals, at)
    at += originals.length
  }
  return {
    picked: toInt64(places, [places.length], device),
    pickedStarts: toInt64(edges, [edges.length]),
    labels: toInt64(labels, [labels.length], device),
    trained: labels.length,
  }
}

/** Hidden states of the predicted tokens alone, [M,C]: for packed rows the last layer computes no others. */
export const hiddenOf = (
  model: Model,
  inputs: BodyInputs,
  { picked, pickedStarts }: Pick<MaskedBatch, 'picked' | 'pickedStarts'>,
): Tensor => {
  const read = inputs.starts === undefined || picked.size === 0 ? undefined : { places: picked, starts: pickedStarts }
  const { hidden, onlyRead } = model.bodyForward({ ...inputs, read })
  const flat = hidden.flatten(0, 1)
  return onlyRead ? flat : flat.indexSelect(0, picked)
}

/** Each sequence with its predicted tokens as they were before masking. */
export const showMasked = ({ ids, starts, positions, originals }: Sequences & Masked): ShownTokens[] => {
  let at = 0
  return sequencesOf(starts, ids.length).map(({ start, end }) => {
    const shown = Array.from(ids.subarray(start, end))
    const seen = new Map<number, number>()
    const losses = new Map<number, number>()
    for (; at < positions.length && positions[at] < end; at++) {
      const i = positions[at] - start
      if (shown[i] !== originals[at]) seen.set(i, shown[i])
      shown[i] = originals[at]
      losses.set(i, at)
    }
    return { ids: shown, seen, losses }
  })
}

/** The text with each predicted token as ⟦label|input⟧. */
export const describeMasked = (
  { ids, starts, positions, originals }: Sequences & Masked,
  decode: (ids: readonly number[]) => string,
): string => {
  const parts: string[] = []
  const text = (from: number, to: number) => {
    if (to > from) parts.push(decode([...ids.subarray(from, to)]))
  }
  let from = 0
  let sequence = 1
  const upTo = (end: number) => {
    for (; sequence < starts.length && starts[sequence] <= end; sequence++) {
      text(from, starts[sequence])
      parts.push('\n')
      from = starts[sequence]
    }
    text(from, end)
  }
  for (let i = 0; i < positions.length; i++) {
    upTo(positions[i])
    parts.push(`⟦${decode([originals[i]]).trim()}|${decode([ids[positions[i]]]).trim()}⟧`)
    from = positions[i] + 1
  }
  upTo(ids.length)
  return parts.join(' ')
}
