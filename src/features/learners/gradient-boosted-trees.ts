// Gradient boosting of regression trees over binned features. @source scikit-learn HistGradientBoosting; Friedman 2001
import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import { CheckpointError } from '../../core/index.ts'
import { Tensor } from '../../tensor/index.ts'
import {
  defineLearner,
  expectTensor,
  type FeatureDataset,
  type FittedLearner,
  type LearningProblem,
  rowWeights,
  scoreColumns,
} from '../learner.ts'
import { binFeatures, type Tree, TreeGrower } from './grow-tree.ts'

const config = z.strictObject({
  rounds: z.int().positive().default(100).describe('boosting rounds: trees per class, or in all for up to two classes'),
  learningRate: z.number().positive().max(1).default(0.1).describe('shrinkage of each tree'),
  maxLeaves: z.int().min(2).default(31).describe('maximum leaves per tree'),
  minLeafRows: z.int().positive().default(20).describe('minimum rows per leaf'),
  bins: z
    .int()
    .min(2)
    .max(255)
    .default(64)
    .describe('histogram bins per feature; 255, as in scikit-learn, takes about three times as long'),
  l2: z.number().min(0).default(0).describe('L2 regularisation of leaf values'),
})

export const gradientBoostedTrees = defineLearner<z.output<typeof config>, 'gradient-boosted-trees'>({
  type: 'gradient-boosted-trees',
  source: 'scikit-learn HistGradientBoostingClassifier',
  summary: 'gradient boosting of regression trees over histograms',
  config,
  kinds: ['class', 'labels', 'number'],
  async fit(dataset, { rounds, bins: maxBins, ...options }, { seed, signal, onProgress }) {
    const { features } = dataset
    const [rows, columns] = features.shape
    const perRound = scoreColumns(dataset)
    const grower = new TreeGrower(binFeatures(features.toFloat32Array(), { columns, maxBins, seed }), options)
    const weights = rowWeights(dataset)
    const start = startOf(dataset, perRound, weights)
    const scores = Float64Array.from({ length: rows * perRound }, (_, i) => start[i % perRound])
    const [gradients, curvatures] = [new Float64Array(rows), new Float64Array(rows)]
    const trees: Tree[] = []
    let loss = 0
    for (let round = 0; round <= rounds; round++) {
      await setImmediate()
      signal?.throwIfAborted()
      onProgress?.(round / rounds)
      const slopes = slopesOf(dataset, perRound, scores, weights)
      loss = slopes.loss / rows
      if (round === rounds) break
      for (let output = 0; output < perRound; output++) {
        slopes.of(output, gradients, curvatures)
        trees.push(grower.grow(gradients, curvatures, scores, { offset: output, stride: perRound }))
      }
    }
    return forest(packed(trees, start), dataset, loss)
  },
  restore(tensors, _, problem) {
    expectTensor(tensors, 'start', [scoreColumns(problem)])
    const nodes = expectTensor(tensors, 'columns', [-1]).shape[0]
    for (const name of ['borders', 'left', 'right', 'values']) expectTensor(tensors, name, [nodes])
    const roots = expectTensor(tensors, 'roots', [-1]).toTypedArray() as Int32Array
    const [columns, left, right] = ['columns', 'left', 'right'].map(
      (name) => tensors.get(name)!.toTypedArray() as Int32Array,
    )
    // Children come after their parents, so that no walk through a tree is endless.
    const sound =
      roots.every((root) => root >= 0 && root < nodes) &&
      columns.every((column, i) => column < 0 || [left[i], right[i]].every((child) => child > i && child < nodes))
    if (!sound)
      throw new CheckpointError(
        'Expected trees whose children follow their parents, got other nodes. The file is damaged.',
      )
    return forest(tensors, problem)
  },
})

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** Initial scores of every row. */
const startOf = (
  { kind, outputs, answers }: FeatureDataset,
  columns: number,
  weights: Float64Array | undefined,
): Float64Array => {
  const sums = new Float64Array(columns)
  const totals = new Float64Array(columns)
  answers.forEach((answer, i) => {
    const weight = weights?.[i] ?? 1
    if (kind === 'class' && outputs > 2) {
      sums[answer] += weight
      totals.forEach((_, k) => {
        totals[k] += weight
      })
    } else {
      sums[i % columns] += weight * answer
      totals[i % columns] += weight
    }
  })
  return sums.map((sum, k) => {
    const share = sum / totals[k]
    if (kind === 'number') return share
    const kept = Math.min(1 - 1e-7, Math.max(1e-7, share))
    return kind === 'class' && outputs > 2 ? Math.log(kept) : Math.log(kept / (1 - kept))
  })
}

interface SlopesOfRows {
  /** Summed over the rows. */
  loss: number
  /** Writes the gradients and second derivatives of an output. */
  of(output: number, gradients: Float64Array, curvatures: Float64Array): void
}

const slopesOf = (
  { kind, outputs, answers }: FeatureDataset,
  columns: number,
  scores: Float64Array,
  weights: Float64Array | undefined,
): SlopesOfRows => {
  const rows = scores.length / columns
  let loss = 0
  if (kind === 'number') {
    for (let row = 0; row < rows; row++) loss += (scores[row] - answers[row]) ** 2
    return {
      loss,
      of(_, gradients, curvatures) {
        for (let row = 0; row < rows; row++) {
          gradients[row] = scores[row] - answers[row]
          curvatures[row] = 1
        }
      },
    }
  }
  if (kind === 'class' && outputs > 2) {
    // Probabilities at the beginning of the round, for all its trees.
    const shares = new Float64Array(scores.length)
    for (let row = 0; row < rows; row++) {
      let most = Number.NEGATIVE_INFINITY
      for (let k = 0; k < columns; k++) most = Math.max(most, scores[row * columns + k])
      let sum = 0
      for (let k = 0; k < columns; k++) sum += shares[row * columns + k] = Math.exp(scores[row * columns + k] - most)
      for (let k = 0; k < columns; k++) shares[row * columns + k] /= sum
      loss -= (weights?.[row] ?? 1) * Math.log(shares[row * columns + answers[row]])
    }
    return {
      loss,
      of(output, gradients, curvatures) {
        for (let row = 0; row < rows; row++) {
          const [share, weight] = [shares[row * columns + output], weights?.[row] ?? 1]
          gradients[row] = weight * (share - (answers[row] === output ? 1 : 0))
          curvatures[row] = weight * share * (1 - share)
        }
      },
    }
  }
  for (let i = 0; i < scores.length; i++) {
    const short = answers[i] === 1 ? -scores[i] : scores[i]
    loss += (weights?.[i] ?? 1) * (Math.max(short, 0) + Math.log1p(Math.exp(-Math.abs(short))))
  }
  return {
    loss,
    of(output, gradients, curvatures) {
      for (let row = 0; row < rows; row++) {
        const i = row * columns + output
        const [share, weight] = [sigmoid(scores[i]), weights?.[i] ?? 1]
        gradients[row] = weight * (share - answers[i])
        curvatures[row] = weight * share * (1 - share)
      }
    },
  }
}

/** All trees as one table of nodes. */
const packed = (trees: readonly Tree[], start: Float64Array): Map<string, Tensor> => {
  const roots: number[] = []
  const [columns, borders, left, right, values]: number[][] = [[], [], [], [], []]
  for (const tree of trees) {
    const first = columns.length
    roots.push(first)
    const moved = (child: number) => (child < 0 ? -1 : child + first)
    columns.push(...tree.column)
    borders.push(...tree.border)
    left.push(...tree.left.map(moved))
    right.push(...tree.right.map(moved))
    values.push(...tree.value)
  }
  const whole = (list: number[]) => Tensor.from(Int32Array.from(list)).keep()
  const real = (list: ArrayLike<number>) => Tensor.from(Float32Array.from(list)).keep()
  return new Map([
    ['start', real(start)],
    ['roots', whole(roots)],
    ['columns', whole(columns)],
    ['borders', real(borders)],
    ['left', whole(left)],
    ['right', whole(right)],
    ['values', real(values)],
  ])
}

const forest = (tensors: ReadonlyMap<string, Tensor>, problem: LearningProblem, loss?: number): FittedLearner => {
  const whole = (name: string) => tensors.get(name)!.toTypedArray() as Int32Array
  const real = (name: string) => tensors.get(name)!.toFloat32Array()
  const [roots, columns, left, right] = ['roots', 'columns', 'left', 'right'].map(whole)
  const [start, borders, values] = ['start', 'borders', 'values'].map(real)
  const perRound = scoreColumns(problem)
  const { outputs } = problem
  // Two classes share one score, the second's against 0.
  const shift = outputs - perRound
  return {
    tensors,
    parameterCount: columns.length,
    loss,
    scores(features) {
      const [rows, width] = features.shape
      if (columns.some((column) => column >= width))
        throw new CheckpointError(
          `Expected trees over ${width} features, got trees over more. The file belongs to another base.`,
        )
      const seen = features.toFloat32Array()
      const out = new Float32Array(rows * outputs)
      const sums = new Float64Array(perRound)
      for (let row = 0; row < rows; row++) {
        sums.set(start)
        const at = row * width
        for (let tree = 0; tree < roots.length; tree++) {
          let node = roots[tree]
          while (columns[node] >= 0) node = seen[at + columns[node]] <= borders[node] ? left[node] : right[node]
          sums[tree % perRound] += values[node]
        }
        out.set(sums, row * outputs + shift)
      }
      return Tensor.from(out, { shape: [rows, outputs] })
    },
  }
}
