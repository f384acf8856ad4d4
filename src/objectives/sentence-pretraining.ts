// Masked language modelling over two texts, with a second task: next sentence prediction (BERT: does the second text
// follow the first?) or sentence order prediction (ALBERT: are they in order?). As in both papers, a "sentence" is any
// span of text.
// @source Devlin et al. 2019, arXiv:1810.04805; Lan et al. 2020, arXiv:1909.11942
import { z } from 'zod'
import { ConfigError, type Random } from '../core/index.ts'
import type { IdArray } from '../data/index.ts'
import { type ReadTokens, SentencePretrainingHead } from '../models/index.ts'
import { noGrad, type Tensor } from '../tensor/index.ts'
import { vocabularyLoss, wrongHead } from './language-loss.ts'
import { describeMasked, type MaskedBatch, type MaskedExample, predictedTokens } from './masked-lm.ts'
import { createMasker, maskingFields, sharesFault, sharesFit } from './masking.ts'
import { defineObjective, type Metric, type Objective, type TextRow } from './objective.ts'
import { expectLength } from './row-layout.ts'
import { placeSequences, toInt64 } from './sequences.ts'

const schema = z
  .strictObject({
    ...maskingFields,
    relation: z
      .enum(['next-sentence', 'sentence-order'])
      .default('next-sentence')
      .describe(
        'next-sentence: half of the second texts are from another document; sentence-order: half of the pairs are swapped',
      ),
    shortShare: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe('share of the pairs truncated to a random shorter length'),
  })
  .refine(sharesFit, sharesFault)

/** An example of two texts. */
export interface PairExample extends MaskedExample {
  typeIds: Uint8Array
  /** Label: 0 for following or in order, 1 for another document or swapped, -100 for too little text. */
  relation: number
}

interface PairBatch extends MaskedBatch {
  /** int64 [E] */
  relations: Tensor
  pairs: number
  /** For packed rows the first token of each pair and its predicted ones: the last layer computes no others. */
  read?: ReadTokens
  /** int64 [M]: indices of the predicted tokens among those of `read`. */
  pickedOfRead: Tensor
}

const maskedTerm = 'masked-lm'

export const sentencePretraining = defineObjective({
  type: 'sentence-pretraining',
  source: 'arXiv:1810.04805, arXiv:1909.11942',
  config: schema,
  head: 'sentence-pretraining',
  create({ relation: relationTerm, shortShare, ...masking }, { vocabulary, maxLength }): Objective<PairExample> {
    const masker = createMasker(masking, vocabulary)
    const { cls, sep, pad = 0, continuesWord, endsSentence } = vocabulary
    if (cls === undefined || sep === undefined)
      throw new ConfigError(
        'Sentence pretraining needs a vocabulary with class and separator tokens, such as [CLS] and [SEP]: train the tokenizer with them.',
      )
    expectLength(maxLength, 5, 'sentence-pretraining')
    const limit = maxLength - 3

    /** Whether a text may be split before index i, best first: at the end of a sentence, or else of a word. */
    const kindsOfBorder = [
      (ids: IdArray, i: number) => endsSentence?.(ids[i - 1]) === true && continuesWord?.(ids[i], ids[i - 1]) !== true,
      (ids: IdArray, i: number) => continuesWord !== undefined && !continuesWord(ids[i], ids[i - 1]),
    ]

    /** A random index from 1 to `last` to split at. */
    const border = (ids: IdArray, last: number, random: Random): number => {
      const places = new Uint32Array(last)
      for (const fits of kindsOfBorder) {
        let count = 0
        for (let i = 1; i <= last; i++) if (fits(ids, i)) places[count++] = i
        if (count > 0) return places[random.integer(count)]
      }
      return 1 + random.integer(last)
    }

    /**
     * Text of another row, as long as the second text that it replaces, so that the length does not reveal the label.
     */
    const elsewhere = (row: TextRow, length: number, random: Random): IdArray => {
      const text = longestDocument(row)
      const spare = text.length - length
      const from = spare > 0 ? border(text, spare, random) : 0
      return text.subarray(from, from + length)
    }

    return {
      rows: { length: limit, overlap: 0 },
      unpadded: true,
      example(row, random, other) {
        const document = longestDocument(row)
        const length = random.float() < shortShare ? 2 + random.integer(limit - 1) : limit
        const text = document.subarray(0, length)
        let first = text
        let second: IdArray = text.subarray(text.length)
        let relation = -100
        if (text.length > 1) {
          const at = border(text, text.length - 1, random)
          first = text.subarray(0, at)
          second = text.subarray(at)
          relation = random.float() < 0.5 ? 1 : 0
          if (relation === 1) {
            if (relationTerm === 'sentence-order') [first, second] = [second, first]
            else second = elsewhere(other(random), second.length, random)
          }
        }
        const ids = new Uint32Array(first.length + second.length + 3)
        ids[0] = cls
        ids.set(first, 1)
        ids[first.length + 1] = sep
        ids.set(second, first.length + 2)
        ids[ids.length - 1] = sep
        const typeIds = new Uint8Array(ids.length).fill(1, first.length + 2)
        const cut = row.ids.length - Math.min(document.length, limit)
        return { ids, starts: [0], typeIds, relation, cut, ...masker.mask(ids, [0], random) }
      },
      tokens: ({ ids }) => ids.length,
      cut: ({ cut }) => cut,
      weights: ({ positions, relation }) => ({
        [maskedTerm]: positions.length,
        [relationTerm]: relation === -100 ? 0 : 1,
      }),
      collate(examples, how): PairBatch {
        const { inputs, tokens, firsts } = placeSequences(examples, pad, how)
        const relations = Int32Array.from(examples, ({ relation }) => relation)
        const { read, pickedOfRead } = readTokens(examples, firsts, how.device)
        return {
          inputs,
          tokens,
          ...predictedTokens(examples, { firsts }, how.device),
          ...(inputs.starts === undefined ? {} : { read }),
          pickedOfRead,
          relations: toInt64(relations, [relations.length], how.device),
          pairs: relations.reduce((count, relation) => count + (relation === -100 ? 0 : 1), 0),
        }
      },
      loss(model, batch, how = {}) {
        const { inputs, picked, labels, trained, relations, pairs, read, pickedOfRead } = batch as PairBatch
        const { head } = model
        if (!(head instanceof SentencePretrainingHead)) throw wrongHead(model.headType, 'sentence-pretraining')
        const { hidden, onlyRead } = model.bodyForward({ ...inputs, read, generator: how.generator })
        const predicted = hidden.flatten(0, 1).indexSelect(0, onlyRead ? pickedOfRead : picked)
        const { sum, correct } = vocabularyLoss(head, predicted, labels, how)
        const scores = head.relate(hidden, onlyRead ? { starts: read?.starts } : inputs).to('float32') // [E,2]
        const relation = scores.crossEntropy(relations, { reduction: 'sum', ignoreIndex: -100 })
        const metrics: Record<string, Metric> = {}
        if (correct !== undefined) {
          metrics.accuracy = { sum: correct, weight: trained }
          metrics.relationAccuracy = { sum: noGrad(() => scores.argmax(-1).eq(relations).sum()), weight: pairs }
        }
        return {
          terms: [
            { name: maskedTerm, sum, weight: trained, scale: 1 },
            { name: relationTerm, sum: relation, weight: pairs, scale: 1 },
          ],
          metrics,
        }
      },
      describe: (example, decode) => {
        const labels: Record<number, string> = { 0: 'first, then second', 1: 'not in sequence' }
        return `${describeMasked(example, decode)} (${labels[example.relation] ?? 'too short for a relation'})`
      },
    }
  },
})

/** The first token and the predicted tokens of each example, and the indices of the latter among all of them. */
const readTokens = (
  examples: readonly PairExample[],
  firsts: Int32Array,
  device?: string,
): { read: ReadTokens; pickedOfRead: Tensor } => {
  const edges = new Int32Array(examples.length + 1)
  examples.forEach(({ positions }, e) => {
    edges[e + 1] = edges[e] + 1 + positions.length
  })
  const places = new Int32Array(edges[examples.length])
  const predicted = new Int32Array(places.length - examples.length)
  examples.forEach(({ positions }, e) => {
    places[edges[e]] = firsts[e]
    positions.forEach((position, i) => {
      places[edges[e] + 1 + i] = firsts[e] + position
      predicted[edges[e] - e + i] = edges[e] + 1 + i
    })
  })
  return {
    read: { places: toInt64(places, [places.length], device), starts: toInt64(edges, [edges.length], device) },
    pickedOfRead: toInt64(predicted, [predicted.length], device),
  }
}

const longestDocument = ({ ids, starts }: TextRow): IdArray => {
  let from = 0
  let size = 0
  for (let i = 0; i < starts.length; i++) {
    const length = (starts[i + 1] ?? ids.length) - starts[i]
    if (length > size) {
      from = starts[i]
      size = length
    }
  }
  return ids.subarray(from, from + size)
}
