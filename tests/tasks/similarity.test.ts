// Losses of vectors that are compared, and scores of search, beside sentence-transformers. Golden values from golden/make_similarity.py.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { taskConfig, tasks } from '../../src/tasks/index.ts'
import {
  type ComparedRows,
  nested,
  type SimilarityLossName,
  type SimilaritySettings,
  similarityLosses,
} from '../../src/tasks/learning/similarity-losses.ts'
import { RetrievalScores } from '../../src/tasks/metrics/retrieval-scores.ts'
import { scope, Tensor } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'

type Matrix = number[][]
const golden = JSON.parse(readFileSync(new URL('golden/similarity.json', import.meta.url), 'utf8')) as {
  columns: Matrix[]
  labels: number[]
  cases: Record<string, { loss: number; gradients: Matrix[] }>
  queries: Matrix
  texts: Matrix
  scores: Record<string, number>
}
const count = golden.labels.length

/** Records one after the other, each with its first text, its second text and its negatives. */
const rowsOf = (width: number): ComparedRows => {
  const places = Array.from({ length: count }, (_, i) => i * width)
  return {
    first: places,
    second: places.map((at) => at + 1),
    negatives: places.flatMap((at) => Array.from({ length: width - 2 }, (_, i) => at + 2 + i)),
    owners: places.flatMap((_, record) => Array.from({ length: width - 2 }, () => record)),
    labels: golden.labels,
    texts: Array.from({ length: count * width }, (_, i) => i),
  }
}

/** Loss and gradients, by column. */
const measured = (
  name: SimilarityLossName,
  columns: readonly Matrix[],
  { dimensions, texts, ...settings }: Partial<SimilaritySettings> & { dimensions?: number[]; texts?: number[] } = {},
) =>
  scope(() => {
    const values = columns[0].flatMap((_, i) => columns.flatMap((column) => column[i]))
    const width = columns[0][0].length
    const vectors = Tensor.from(Float32Array.from(values), {
      shape: [count * columns.length, width],
      device: testDevice,
    })
    vectors.requiresGrad = true
    const rows = { ...rowsOf(columns.length), ...(texts && { texts }) }
    const { sum, right } = nested(similarityLosses[name], dimensions)(vectors, rows, { scale: 20, ...settings })
    sum.backward()
    const all = vectors.grad!.toFloat32Array()
    const gradients = columns.map((column, c) =>
      column.map((_, i) =>
        Array.from(
          all.subarray((i * columns.length + c) * width, (i * columns.length + c + 1) * width),
          (g) => g / count,
        ),
      ),
    )
    return { loss: sum.item() / count, gradients, right: right?.item() }
  })

const { columns, cases } = golden
const pairs = columns.slice(0, 2)
const triplets = columns.slice(0, 3)

describe('losses as in sentence-transformers', () => {
  it.each([
    ['pairs', measured('multiple-negatives', pairs)],
    ['negatives', measured('multiple-negatives', columns)],
    ['scale', measured('multiple-negatives', columns, { scale: 7.5 })],
    ['symmetric', measured('symmetric', pairs)],
    ['symmetric-negatives', measured('symmetric', triplets)],
    ['triplet', measured('triplet', triplets)],
    ['triplet-cosine', measured('triplet', triplets, { distance: 'cosine', margin: 0.2 })],
    ['cosent', measured('cosent', pairs)],
    ['cosine', measured('cosine', pairs)],
    ['dimensions', measured('multiple-negatives', pairs, { dimensions: [5, 3] })],
  ])('%s', (name, ours) => {
    expect(ours.loss).toBeCloseTo(cases[name].loss, 5)
    ours.gradients.flat(2).forEach((value, i) => {
      expect(value).toBeCloseTo(cases[name].gradients.flat(2)[i], 5)
    })
  })

  it('is the smallest with the right text alone: copies of it are no wrong ones', () => {
    // The second text of the first two records is the same, and so is the first text of the last two.
    const copied = pairs.map((column) => column.map((row) => [...row]))
    copied[1][1] = copied[1][0]
    copied[0][5] = copied[0][4]
    const texts = Array.from({ length: 2 * count }, (_, i) => i)
    texts[3] = texts[1]
    texts[10] = texts[8]
    const unit = (row: number[]) => row.map((value) => value / Math.hypot(...row))
    const cosine = (a: number[], b: number[]) => unit(a).reduce((sum, value, k) => sum + value * unit(b)[k], 0)
    const isRight = (i: number, j: number) => i !== j && (i < 2 ? j < 2 : i > 3 && j > 3)
    let expected = 0
    for (let i = 0; i < count; i++) {
      const scores = copied[1].map((text, j) =>
        isRight(i, j) ? Number.NEGATIVE_INFINITY : 20 * cosine(copied[0][i], text),
      )
      expected += Math.log(scores.reduce((sum, score) => sum + Math.exp(score - scores[i]), 0))
    }
    expect(measured('multiple-negatives', copied, { texts }).loss).toBeCloseTo(expected / count, 5)
    expect(measured('multiple-negatives', copied).loss).not.toBeCloseTo(expected / count, 3)
  })

  it('names dimensions that vectors do not have', () => {
    expect(() => measured('multiple-negatives', pairs, { dimensions: [4, 13] })).toThrow(
      'Expected at most 12 for `settings.dimensions`, as vectors of this base have that many numbers, got 13. Lower it.',
    )
  })
})

it('settings that the loss does not read are refused', () => {
  const refusal = (settings: { [name: string]: unknown }) => () =>
    taskConfig(tasks['sentence-similarity'], settings as { loss?: 'triplet' })
  expect(refusal({ loss: 'triplet', negatives: 'negative', distance: 'cosine', margin: 1 })).not.toThrow()
  expect(refusal({ loss: 'triplet' })).toThrow('The loss triplet needs `negatives`')
  expect(refusal({ loss: 'symmetric', margin: 1 })).toThrow('Expected no `margin` without the loss triplet')
  expect(refusal({ loss: 'triplet', negatives: 'negative', scale: 2 })).toThrow(
    'Expected no `scale` with the loss triplet',
  )
  expect(refusal({ loss: 'symmetric', label: 'score' })).toThrow('Expected no `label` with the loss symmetric')
})

describe('scores of search', () => {
  const vector = (row: number[]) => Float32Array.from(row)

  it('are those of sentence-transformers', () => {
    const scores = new RetrievalScores()
    const { queries, texts } = golden
    // The texts that answer nothing are negatives of the last record.
    const others = texts.slice(queries.length)
    queries.forEach((query, i) => {
      const negatives = i === queries.length - 1 ? others : []
      scores.add({
        texts: [`q${i}`, `t${i}`, ...negatives.map((_, k) => `n${k}`)],
        vectors: [query, texts[i], ...negatives].map(vector),
      })
    })
    for (const [name, value] of Object.entries(golden.scores)) expect(scores.scores()[name]).toBeCloseTo(value, 6)
    expect(scores.details()).toEqual({ candidates: texts.length })
  })

  it('leave out what is right as well, and find nothing among vectors that are all alike', () => {
    const scores = new RetrievalScores()
    scores.add({
      texts: ['q', 'a'],
      vectors: [
        [1, 0],
        [0.9, 0.1],
      ].map(vector),
    })
    scores.add({
      texts: ['q', 'b'],
      vectors: [
        [1, 0],
        [0.8, 0.6],
      ].map(vector),
    })
    scores.add({
      texts: ['r', 'c'],
      vectors: [
        [0, 1],
        [0.1, 0.9],
      ].map(vector),
    })
    expect([...scores.ranks()]).toEqual([1, 1, 1])
    const alike = new RetrievalScores()
    for (let i = 0; i < 12; i++)
      alike.add({
        texts: [`q${i}`, `t${i}`],
        vectors: [
          [1, 1],
          [1, 1],
        ].map(vector),
      })
    expect([...alike.ranks()]).toEqual(Array(12).fill(12))
    expect(alike.scores()).toEqual({ ndcgAt10: 0, mrrAt10: 0, recallAt1: 0, recallAt10: 0 })
    const diverged = new RetrievalScores()
    for (let i = 0; i < 12; i++)
      diverged.add({ texts: [`q${i}`, `t${i}`], vectors: [[Number.NaN], [Number.NaN]].map(vector) })
    expect([...diverged.ranks()]).toEqual(Array(12).fill(12))
  })

  it('count records as often as a resample has them', () => {
    const scores = new RetrievalScores()
    scores.add({
      texts: ['q', 'a'],
      vectors: [
        [1, 0],
        [1, 0],
      ].map(vector),
    })
    scores.add({
      texts: ['r', 'b'],
      vectors: [
        [1, 0],
        [0, 1],
      ].map(vector),
    })
    expect(scores.scores([3, 1])).toEqual({
      ndcgAt10: (3 + 1 / Math.log2(3)) / 4,
      mrrAt10: (3 + 1 / 2) / 4,
      recallAt1: 3 / 4,
      recallAt10: 1,
    })
  })
})
