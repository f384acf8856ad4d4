// Sentence similarity: a vector for each text, so that texts that belong together have a cosine near 1. Data are pairs of texts that belong
// together, for search, or pairs with a number that says how alike they are.

import { z } from 'zod'
import { ConfigError, DataError, show } from '../core/index.ts'
import { createTextEncoder, defaultMaxLength, joinTexts } from '../tokenizers/index.ts'
import { expectVariedAnswers } from './learning/label-set.ts'
import { rounded } from './learning/probabilities.ts'
import { type ComparedExample, createSimilarityCriterion, splitVectors } from './learning/similarity-criterion.ts'
import { nested, type SimilarityLossName, similarityLosses } from './learning/similarity-losses.ts'
import { NumberScores } from './metrics/number-scores.ts'
import { RetrievalScores, retrievalScoreNames } from './metrics/retrieval-scores.ts'
import { type Checked, numberIn, textIn } from './records/columns.ts'
import { regressionDatasets } from './records/known-datasets.ts'
import { allOf, readRecords } from './records/read-records.ts'
import { rowFields } from './records/read-rows.ts'
import { streaming } from './records/record-source.ts'
import type { DataRow } from './records/row.ts'
import {
  type AnswerVariety,
  addAnswer,
  countingRecords,
  noAnswers,
  type RecordStatistics,
  randomItem,
} from './records/statistics.ts'
import { textsFromInput } from './records/text-columns.ts'
import { defineTask, type Scorer, type TaskPrediction, type TaskRecord } from './task.ts'

const lossNames = Object.keys(similarityLosses) as [SimilarityLossName, ...SimilarityLossName[]]

const config = z
  .strictObject({
    ...rowFields,
    text: z.string().default('text').describe('column with the first text, such as a question'),
    pair: z.string().default('pair').describe('column with the second text, such as the passage that answers it'),
    negatives: z
      .union([z.string(), z.array(z.string()).min(1)])
      .optional()
      .describe('column or columns with texts, or lists of texts, that do not belong to the first text'),
    label: z
      .string()
      .optional()
      .describe('column with a number that says how alike the texts are (default: all pairs belong together)'),
    loss: z
      .enum(lossNames)
      .optional()
      .describe(
        'multiple-negatives: the second text among those of the batch; symmetric: the first text as well; triplet: each negative farther away than the second text; with `label`, cosent: the order of the pairs, or cosine: labels from -1 to 1 (default: multiple-negatives, with `label` cosent)',
      ),
    scale: z.number().positive().optional().describe('factor of the cosines in the loss (default: 20)'),
    margin: z
      .number()
      .positive()
      .optional()
      .describe(
        'triplet: how much farther than the second text a negative should be (default: 5, with the distance cosine 0.5)',
      ),
    distance: z.enum(['euclidean', 'cosine']).optional().describe('triplet: distance of vectors; cosine is 1 - cosine'),
    dimensions: z
      .array(z.int().positive())
      .min(1)
      .optional()
      .describe('also train the first N numbers of each vector, for each N of this list, so that vectors can be cut'),
    pooling: z
      .enum(['first', 'last', 'mean'])
      .optional()
      .describe('how tokens become a vector (default: as the base has it, or mean)'),
  })
  .superRefine(({ label, loss, negatives, scale, margin, distance }, context) => {
    const refuse = (field: string, message: string) => context.addIssue({ code: 'custom', path: [field], message })
    if (label === undefined && (loss === 'cosent' || loss === 'cosine'))
      refuse('loss', `Expected \`label\` with the loss ${loss}, which learns from numbers. Set it, or remove \`loss\`.`)
    if (label !== undefined && loss !== undefined && loss !== 'cosent' && loss !== 'cosine')
      refuse('loss', `Expected no \`label\` with the loss ${loss}, which reads none. Remove one of them.`)
    if (loss === 'triplet' && label === undefined && negatives === undefined)
      refuse(
        'negatives',
        'The loss triplet needs `negatives`: set it to the column with texts that do not belong to the first one.',
      )
    for (const [name, value] of Object.entries({ margin, distance }))
      if (value !== undefined && loss !== 'triplet')
        refuse(
          name,
          `Expected no \`${name}\` without the loss triplet, as it has no effect. Remove it, or set \`loss: triplet\`.`,
        )
    if (label !== undefined && negatives !== undefined)
      refuse('negatives', 'Expected no `negatives` with `label`, where they have no effect. Remove one of them.')
    if ((loss === 'cosine' || loss === 'triplet') && scale !== undefined)
      refuse('scale', `Expected no \`scale\` with the loss ${loss}, where it has no effect. Remove it.`)
  })

type Config = z.output<typeof config>

/** Two texts, with what is known of them. */
export interface SimilarityRecord extends TaskRecord {
  text: string
  pair: string
  /** Texts that do not belong to the first one. */
  negatives?: readonly string[]
  /** How alike the texts are; undefined where it is not known, or where all pairs belong together. */
  label: number | undefined
}

/** The cosine of two texts, with their vectors where they are needed for scores. */
export interface SimilarityPrediction extends TaskPrediction {
  similarity: number
  /** Vectors of the first text, the second one and the negatives: float32, little-endian, as base64. */
  embeddings?: string[]
}

const toBase64 = (vector: Float32Array): string =>
  Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64')

/** @throws ConfigError for something else than vectors of one length */
const vectorsIn = (value: unknown, count: number): Float32Array[] => {
  const vectors = (Array.isArray(value) ? value : []).map((one) => {
    const bytes = Buffer.from(typeof one === 'string' ? one : '', 'base64')
    return new Float32Array(new Uint8Array(bytes.subarray(0, bytes.length & ~3)).buffer)
  })
  const width = vectors[0]?.length ?? 0
  if (vectors.length === count && width > 0 && vectors.every(({ length }) => length === width)) return vectors
  throw new ConfigError(
    `Expected ${count} vectors of one length as base64 for \`embeddings\`, one for each text, got ${show(value)}.`,
  )
}

const cosineOf = (a: Float32Array, b: Float32Array): number => {
  let [product, first, second] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    product += a[i] * b[i]
    first += a[i] * a[i]
    second += b[i] * b[i]
  }
  return product / Math.max(Math.sqrt(first * second), 1e-12)
}

const negativeNames = /^(hard[_ ]?)?negatives?([_ ]?\d+)?$/i
const labelNames = /^(label|score|similarity([_ ]?score)?)$/i

const columnsOf = ({ negatives }: Config): readonly string[] => (negatives === undefined ? [] : [negatives].flat())

const negativesIn = (row: DataRow, columns: readonly string[]): Checked<string[]> => {
  const found: string[] = []
  for (const column of columns) {
    const value = row.values[column]
    for (const text of Array.isArray(value) ? value : [value]) {
      const checked = textIn({ ...row, values: { [column]: text } }, column)
      if ('fault' in checked) return checked
      found.push(checked.value)
    }
  }
  return { value: found }
}

const labelled = (loss: SimilarityLossName | undefined, row: DataRow, column: string): Checked<number> => {
  const found = numberIn(row, column)
  if ('fault' in found || loss !== 'cosine' || Math.abs(found.value) <= 1) return found
  return {
    fault: {
      reason: 'label-range',
      message: `Expected a number from -1 to 1 in column "${column}" for the loss cosine, got ${found.value}. Divide the numbers, or use the loss cosent, which reads their order only.`,
    },
  }
}

export const sentenceSimilarity = defineTask<
  Config,
  SimilarityRecord,
  ComparedExample,
  SimilarityPrediction,
  'sentence-similarity',
  RecordStatistics & AnswerVariety & { values: number[] }
>({
  type: 'sentence-similarity',
  source: 'arXiv:1908.10084 (Sentence-BERT)',
  summary: 'vectors whose cosine says how alike two texts are, for search and clustering',
  config,
  head: 'embedding',
  datasets: regressionDatasets,
  dataSettings: [...Object.keys(rowFields), 'text', 'pair', 'negatives', 'label'],
  mainMetric: ({ label }) => (label === undefined ? 'ndcgAt10' : 'spearman'),
  metricNames: ({ label }) => (label === undefined ? [...retrievalScoreNames] : ['spearman', 'pearson']),
  read: streaming((path, settings, { labelled: wantsLabel = true, ...flow } = {}) => {
    const { text, pair, label, loss, negatives } = settings
    const others = columnsOf(settings)
    return readRecords<Omit<SimilarityRecord, keyof TaskRecord>>(
      path,
      settings,
      {
        columns: {
          text,
          pair,
          ...Object.fromEntries(others.map((name) => [`negatives ${name}`, name])),
          ...(wantsLabel && label !== undefined ? { label } : {}),
        },
        unset: {
          ...(negatives === undefined && label === undefined ? { negatives: negativeNames } : {}),
          ...(label === undefined ? { label: labelNames } : {}),
        },
        fields: (row) =>
          allOf<{ text: string; pair: string; negatives: string[]; label: number | undefined }>({
            text: textIn(row, text),
            pair: textIn(row, pair),
            negatives: negativesIn(row, others),
            label: wantsLabel && label !== undefined ? labelled(loss, row, label) : { value: undefined },
          }),
      },
      flow,
    )
  }),
  answerFields: ['label'],
  statistics: countingRecords(
    () => ({ ...noAnswers(), values: [] as number[] }),
    (statistics, { label }: SimilarityRecord) => {
      if (label === undefined) return
      addAnswer(statistics, String(label))
      statistics.values.push(label)
    },
  ),
  recordFromInput(fields, id, settings) {
    // The setting `pair` has a default, so that both texts are there.
    const { text, pair } = textsFromInput(fields, settings)
    return { id, file: 'input', line: undefined, text, pair: pair as string, label: undefined }
  },
  headOptions(statistics, { label, pooling }) {
    if (label !== undefined) expectVariedAnswers(statistics, 'different numbers')
    return pooling === undefined ? {} : { pooling }
  },
  prepare(
    tokenizer,
    { label, loss, scale = 20, margin, distance, dimensions },
    { maxLength = defaultMaxLength(tokenizer) },
  ) {
    const encodeText = createTextEncoder(tokenizer, maxLength)
    const chosen = loss ?? (label === undefined ? 'multiple-negatives' : 'cosent')
    return {
      criterion: createSimilarityCriterion<ComparedExample>({
        padId: tokenizer.special.pad?.id ?? 0,
        loss: nested(similarityLosses[chosen], dimensions),
        scale,
        margin,
        distance,
      }),
      encode({ text, pair, negatives = [], label: value, file, line }) {
        const rows = [text, pair, ...negatives].map((one) => encodeText(one))
        if (rows.some(({ ids }) => ids.length === 0))
          throw new DataError('Expected texts with at least one token, got none.', file, line)
        return [{ ...joinTexts(rows), ...(label === undefined ? {} : { label: value ?? Number.NaN }) }]
      },
      split: splitVectors,
      decode({ id, negatives = [] }, [{ logits }]) {
        const width = logits.length / (2 + negatives.length)
        const vectors = Array.from({ length: 2 + negatives.length }, (_, i) =>
          logits.subarray(i * width, (i + 1) * width),
        )
        const similarity = rounded(cosineOf(vectors[0], vectors[1]))
        return { id, similarity, ...(label === undefined ? { embeddings: vectors.map(toBase64) } : {}) }
      },
    }
  },
  parsePrediction(fields, { id, negatives = [] }, { label }) {
    const given = fields.similarity ?? fields.prediction
    const value: Checked<number> = numberIn({ values: { given }, file: '', line: undefined }, 'given')
    if ('fault' in value) throw new ConfigError(`Expected a number for \`similarity\`, got ${show(given)}.`)
    if (label !== undefined) return { id, similarity: value.value }
    vectorsIn(fields.embeddings, 2 + negatives.length)
    return { id, similarity: value.value, embeddings: fields.embeddings as string[] }
  },
  baselines({ values }, { label }, random) {
    if (label === undefined) return []
    return [{ name: 'random value', predict: ({ id }) => ({ id, similarity: randomItem(values, random) }) }]
  },
  scorer: ({ label }): Scorer<SimilarityRecord, SimilarityPrediction> => (label === undefined ? ranking() : ordering()),
})

/** Scores of pairs that belong together. */
const ranking = (): Scorer<SimilarityRecord, SimilarityPrediction> => {
  const scores = new RetrievalScores()
  return {
    add({ text, pair, negatives = [] }, { embeddings }) {
      const texts = [text, pair, ...negatives]
      scores.add({ texts, vectors: vectorsIn(embeddings, texts.length) })
    },
    units: () => scores,
  }
}

/** Scores of pairs with a number. */
const ordering = (): Scorer<SimilarityRecord, SimilarityPrediction> => {
  const numbers = new NumberScores()
  return {
    add({ label, file, line }, { similarity }) {
      if (label === undefined) throw new DataError('Expected a record with a number, got one without.', file, line)
      numbers.add(label, similarity)
    },
    units: () => ({
      units: numbers.units,
      scores(counts) {
        const { spearman, pearson } = numbers.scores(counts)
        return { spearman, pearson }
      },
      details: () => ({}),
    }),
  }
}
