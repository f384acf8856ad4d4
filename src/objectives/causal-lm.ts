// Causal language modelling (GPT and its successors): each token is predicted from the tokens before it.
// @source Radford et al. 2019 (GPT-2); Brown et al. 2020, arXiv:2005.14165 (documents joined by end-of-text)
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { vocabularyDivergence, withTeacher } from './distillation.ts'
import { createFim, fimFault, fimFields, fimFits, fimGrowth } from './fill-in-the-middle.ts'
import { accuracyOf, labelSmoothingField, vocabularyHead, vocabularyLoss } from './language-loss.ts'
import { type Batch, defineObjective, type Objective } from './objective.ts'
import { expectLength, layOut } from './row-layout.ts'
import { placeSequences, type Sequences, type ShownTokens, sequencesOf, spread, toInt64 } from './sequences.ts'

const schema = z
  .strictObject({
    documents: z
      .enum(['separate', 'joined'])
      .default('separate')
      .describe(
        'separate: no attention between the documents of a row; joined: one stream with end-of-text between them, as GPT-2',
      ),
    startToken: z
      .boolean()
      .default(false)
      .describe('begin each sequence with the start token of the vocabulary, as Llama does'),
    labelSmoothing: labelSmoothingField,
    ...fimFields,
  })
  .refine(fimFits, fimFault)

/** An example of causal language modelling. */
export interface CausalExample extends Sequences {
  /** The token after each of `ids`; -100 where there is none. */
  labels: Int32Array
  trained: number
  cut: number
}

interface CausalBatch extends Batch {
  /** int64 [B*T] */
  labels: ReturnType<typeof toInt64>
  trained: number
}

const term = 'causal-lm'

export const causalLm = defineObjective({
  type: 'causal-lm',
  source: 'Radford et al. 2019; arXiv:2005.14165',
  config: schema,
  head: 'causal-lm',
  create({ documents, startToken, labelSmoothing, ...filling }, { vocabulary, maxLength }): Objective<CausalExample> {
    const { bos, eos, pad } = vocabulary
    const fim = createFim(filling, vocabulary)
    const added = (startToken ? 1 : 0) + (fim === undefined ? 0 : fimGrowth)
    expectLength(maxLength, 1 + added, term)
    if (startToken && bos === undefined)
      throw new ConfigError(
        '`startToken` needs a vocabulary with a start token: set it to false, or choose another tokenizer.',
      )
    const layout = {
      separate: documents === 'separate',
      open: startToken ? bos : undefined,
      close: eos,
      closes: 'ended' as const,
      limit: maxLength,
      // The last token of a sequence is a label only, not an input.
      uncounted: 1,
    }
    // Padding is masked and has no label: any id works.
    const padId = pad ?? eos ?? 0
    return {
      rows: { length: maxLength + 1 - added, overlap: 1 },
      unpadded: true,
      distils: true,
      example(row, random) {
        const { ids, starts, cut } = layOut(row, { ...layout, rewrite: fim?.(random) })
        return shifted(ids, starts, cut)
      },
      tokens: ({ ids }) => ids.length,
      cut: ({ cut }) => cut,
      weights: ({ trained }) => ({ [term]: trained }),
      collate(examples, how): CausalBatch {
        const placed = placeSequences(examples, padId, how)
        const labels = spread(examples, placed, (e) => examples[e].labels, -100)
        const trained = examples.reduce((sum, example) => sum + example.trained, 0)
        return {
          inputs: placed.inputs,
          tokens: placed.tokens,
          labels: toInt64(labels, [placed.places], how.device),
          trained,
        }
      },
      loss(model, batch, how = {}) {
        const { inputs, labels, trained: weight } = batch as CausalBatch
        const head = vocabularyHead(model, 'causal-lm')
        const hiddenOf = (one: Model) => one.bodyForward(inputs).hidden.flatten(0, 1)
        const { sum, correct, prepared } = vocabularyLoss(head, hiddenOf(model), labels, { ...how, labelSmoothing })
        const terms = withTeacher({ name: term, sum, weight, scale: 1 }, how.teacher, (teacher) =>
          vocabularyDivergence({ head, prepared, labels }, teacher, hiddenOf, 'causal-lm'),
        )
        return { terms, metrics: accuracyOf(correct, weight) }
      },
      describe: ({ ids, starts, labels }, decode) =>
        starts
          .map((start, i) => {
            const end = starts[i + 1] ?? ids.length
            const last = labels[end - 1]
            return `${decode([ids[start]])}⟦${decode([...ids.subarray(start + 1, end), ...(last === -100 ? [] : [last])])}⟧`
          })
          .join('\n'),
      show: showCausal,
    }
  },
})

/** Each sequence with the token after its last input. */
const showCausal = ({ ids, starts, labels }: CausalExample): ShownTokens[] =>
  sequencesOf(starts, ids.length).map(({ start, end }) => {
    const shown = [ids[start]]
    const losses = new Map<number, number>()
    for (let i = start; i < end; i++) {
      if (labels[i] !== -100) losses.set(shown.length, i)
      if (labels[i] !== -100 || i + 1 < end) shown.push(labels[i] === -100 ? ids[i + 1] : labels[i])
    }
    return { ids: shown, losses }
  })

/** Inputs are the sequences without their last token; labels are the sequences without their first. */
const shifted = (ids: Uint32Array, starts: readonly number[], cut: number): CausalExample => {
  const count = ids.length - starts.length
  if (count === 0)
    // No token has a successor: one token stays, so that the example is not empty.
    return { ids: ids.subarray(0, 1), starts: [0], labels: Int32Array.of(-100), trained: 0, cut }
  const inputs = new Uint32Array(count)
  const labels = new Int32Array(count)
  const kept: number[] = []
  let at = 0
  for (let i = 0; i < starts.length; i++) {
    const from = starts[i]
    const to = starts[i + 1] ?? ids.length
    if (to - from < 2) continue
    kept.push(at)
    inputs.set(ids.subarray(from, to - 1), at)
    labels.set(ids.subarray(from + 1, to), at)
    at += to - from - 1
  }
  return { ids: inputs, starts: kept, labels, trained: count, cut }
}
