// Masked language modelling over two texts, with a second task: next sentence prediction (BERT: does the second text
// follow the first?) or sentence order prediction (ALBERT: are they in order?). As in both papers, a "sentence" is any
// span of text.
// @source Devlin et al. 2019, arXiv:1810.04805; Lan et al. 2020, arXiv:1909.11942
import { z } from 'zod'
import { ConfigError, type Random } from '../core/index.ts'
import type { IdArray } from '../data/index.ts'
import { type Model, type ReadTokens, SentencePretrainingHead } from '../models/index.ts'
import { noGrad, type Tensor } from '../tensor/index.ts'
import { vocabularyLoss, wrongHead } from './language-loss.ts'
import { describeMasked, type MaskedBatch, type MaskedExample, predictedTokens, showMasked } from './masked-lm.ts'
import { createMasker, maskingFields, sharesFault, sharesFit } from './masking.ts'
import {
  defineObjective,
  type LossOptions,
  type Metric,
  type Objective,
  type TextRow,
  type VocabularyFacts,
} from './objective.ts'
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

type PairConfig = z.output<typeof schema>

/** Two texts, with their label as in `PairExample`. */
interface TextPair {
  first: IdArray
  second: IdArray
  relation: number
}

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
    const { pad = 0 } = vocabulary
    const join = createJoin(vocabulary)
    expectLength(maxLength, 5, 'sentence-pretraining')
    const limit = maxLength - 3
    const relate = createRelation(relationTerm, vocabulary)
    return {
      rows: { length: limit, overlap: 0 },
      unpadded: true,
      example(row, random, other) {
        const document = longestDocument(row)
        const length = random.float() < shortShare ? 2 + random.integer(limit - 1) : limit
        const { first, second, relation } = relate(document.subarray(0, length), random, other)
        const { ids, typeIds } = join(first, second)
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
      loss: (model, batch, how = {}) => pairLoss(relationTerm, model, batch as PairBatch, how),
      describe: (example, decode) => {
        const labels: Record<number, string> = { 0: 'first, then second', 1: 'not in sequence' }
        return `${describeMasked(example, decode)} (${labels[example.relation] ?? 'too short for a relation'})`
      },
      show: showMasked,
    }
  },
})

/** Two texts as one sequence with its segments. @throws ConfigError for a vocabulary without class or separator token */
const createJoin = ({ cls, sep }: VocabularyFacts) => {
  if (cls === undefined || sep === undefined)
    throw new ConfigError(
      'Sentence pretraining needs a vocabulary with class and separator tokens, such as [CLS] and [SEP]: train the tokenizer with them.',
    )
  return (first: IdArray, second: IdArray): { ids: Uint32Array; typeIds: Uint8Array } => {
    const ids = new Uint32Array(first.length + second.length + 3)
    ids[0] = cls
    ids.set(first, 1)
    ids[first.length + 1] = sep
    ids.set(second, first.length + 2)
    ids[ids.length - 1] = sep
    return { ids, typeIds: new Uint8Array(ids.length).fill(1, first.length + 2) }
  }
}

/** Finds random indices from 1 to `last` to split a text at: at the end of a sentence, or else of a word. */
const createBorder = ({ continuesWord, endsSentence }: VocabularyFacts) => {
  const kinds = [
    (ids: IdArray, i: number) => endsSentence?.(ids[i - 1]) === true && continuesWord?.(ids[i], ids[i - 1]) !== true,
    (ids: IdArray, i: number) => continuesWord !== undefined && !continuesWord(ids[i], ids[i - 1]),
  ]
  return (ids: IdArray, last: number, random: Random): number => {
    const places = new Uint32Array(last)
    for (const fits of kinds) {
      let count = 0
      for (let i = 1; i <= last; i++) if (fits(ids, i)) places[count++] = i
      if (count > 0) return places[random.integer(count)]
    }
    return 1 + random.integer(last)
  }
}

/** Splits a text in two, and in half of the cases swaps them or replaces the second; `relation` is the label. */
const createRelation = (term: PairConfig['relation'], vocabulary: VocabularyFacts) => {
  const border = createBorder(vocabulary)
  /** Text of another row, as long as the second text that it replaces, so that the length does not reveal the label. */
  const elsewhere = (row: TextRow, length: number, random: Random): IdArray => {
    const text = longestDocument(row)
    const spare = text.length - length
    const from = spare > 0 ? border(text, spare, random) : 0
    return text.subarray(from, from + length)
  }
  return (text: IdArray, random: Random, other: (random: Random) => TextRow): TextPair => {
    if (text.length < 2) return { first: text, second: text.subarray(text.length), relation: -100 }
    const at = border(text, text.length - 1, random)
    const [first, second] = [text.subarray(0, at), text.subarray(at)]
    if (random.float() >= 0.5) return { first, second, relation: 0 }
    if (term === 'sentence-order') return { first: second, second: first, relation: 1 }
    return { first, second: elsewhere(other(random), second.length, random), relation: 1 }
  }
}

/** The sums of both losses. @throws ConfigError for a model with another head */
const pairLoss = (
  relationTerm: string,
  model: Model,
  batch: PairBatch,
  how: LossOptions,
): ReturnType<Objective['loss']> => {
  const { inputs, picked, labels, trained, relations, pairs, read, pickedOfRead } = batch
  const { head } = model
  if (!(head instanceof SentencePretrainingHead)) throw wrongHead(model.headType, 'sentence-pretraining')
  const { hidden, onlyRead } = model.bodyForward({ ...inputs, read })
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
}

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
    read: { places: toInt64(places, [places.length], device), starts: toInt64(edges, [edges.length]) },
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
