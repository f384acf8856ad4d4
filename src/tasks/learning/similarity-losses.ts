// Losses that compare vectors of a batch with each other, so that the cosine of two vectors says how alike their texts are.
import { ConfigError } from '../../core/index.ts'
import { unitRows } from '../../models/index.ts'
import { cat, Tensor, upload, zeros } from '../../tensor/index.ts'

/** Which rows of a batch of vectors belong together. */
export interface ComparedRows {
  /** Rows of the first text of each record. */
  first: readonly number[]
  /** Rows of the second text of each record. */
  second: readonly number[]
  /** Rows of texts that do not belong to any first text. */
  negatives: readonly number[]
  /** The record that each negative is of, as its place in `first`. */
  owners: readonly number[]
  /** How alike the texts of each record are; NaN where it is not known. */
  labels: readonly number[]
  /** Equal numbers for equal texts, by row. */
  texts: readonly number[]
}

export interface SimilaritySettings {
  /** Factor of cosines before the softmax, one divided by its temperature. */
  scale: number
  /** `triplet`: how much farther a negative should be from the first text than the second one is, in units of the distance. */
  margin?: number | undefined
  /** `triplet`: length of the difference of two vectors, or one minus their cosine (default: euclidean). */
  distance?: TripletDistance | undefined
}

type TripletDistance = 'euclidean' | 'cosine'

/** Default margins of the triplet loss: that of sentence-transformers, and a quarter of the range of cosine distances. */
const tripletMargins: { readonly [Distance in TripletDistance]: number } = { euclidean: 5, cosine: 0.5 }

interface ComparedLoss {
  /** Sum over the records: the mean loss times their number. */
  sum: Tensor
  /** Records whose second text is nearer to the first one than every other text, where they are ranked. */
  right?: Tensor
}

/** @param vectors float32 [rows,C], of any norm */
export type SimilarityLoss = (vectors: Tensor, rows: ComparedRows, settings: SimilaritySettings) => ComparedLoss

const rowsOf = (vectors: Tensor, rows: readonly number[]): Tensor =>
  vectors.indexSelect(0, upload(Tensor.from(BigInt64Array.from(rows, BigInt)), vectors.device))

const numbers = (values: Iterable<number>, shape: number[], like: Tensor): Tensor =>
  upload(Tensor.from(Float32Array.from(values), { shape }), like.device)

/** Cosines of the two texts of each record, [B]. */
const cosines = (vectors: Tensor, { first, second }: ComparedRows): Tensor => {
  const unit = unitRows(vectors)
  return rowsOf(unit, first).mul(rowsOf(unit, second)).sum(-1)
}

/**
 * 0 where a candidate may be ranked against the second text of a record, minus infinity where it is right as well: a copy of the second text,
 * or the second text of a record with the same first text. Row i has its own second text in column i.
 */
const rightElsewhere = ({ first, second, negatives, texts }: ComparedRows): Float32Array => {
  const candidates = [...second, ...negatives]
  const masked = new Float32Array(first.length * candidates.length)
  // Texts that are right for a first text, whichever record says so.
  const right = new Map<number, Set<number>>()
  first.forEach((row, i) => {
    const known = right.get(texts[row]) ?? new Set()
    right.set(texts[row], known.add(texts[second[i]]))
  })
  first.forEach((row, i) => {
    const known = right.get(texts[row])
    candidates.forEach((candidate, j) => {
      if (j !== i && known?.has(texts[candidate])) masked[i * candidates.length + j] = Number.NEGATIVE_INFINITY
    })
  })
  return masked
}

/** A place for each record: its own number. */
const ownPlaces = (rows: readonly number[], { device }: Tensor): Tensor =>
  upload(Tensor.from(BigInt64Array.from(rows, (_, i) => BigInt(i))), device)

/** Scaled cosines of first texts and candidates, [B,second + negatives]; minus infinity for candidates that are right elsewhere. */
const candidateScores = (vectors: Tensor, rows: ComparedRows, scale: number): Tensor => {
  const unit = unitRows(vectors)
  const { first, second, negatives } = rows
  const candidates = rowsOf(unit, [...second, ...negatives])
  const shape = [first.length, second.length + negatives.length]
  return rowsOf(unit, first)
    .matmul(candidates.transpose(0, 1))
    .mul(scale)
    .add(numbers(rightElsewhere(rows), shape, vectors))
}

/**
 * Cross entropy of the second text of each record among the second texts of all records and all negatives.
 * @source van den Oord et al. 2018, arXiv:1807.03748 (InfoNCE); Henderson et al. 2017, arXiv:1705.00652 (negatives of the batch)
 */
const multipleNegatives: SimilarityLoss = (vectors, rows, { scale }) => {
  const scores = candidateScores(vectors, rows, scale)
  const targets = ownPlaces(rows.first, vectors)
  return {
    sum: scores.crossEntropy(targets, { reduction: 'sum' }),
    right: scores.detach().argmax(-1).eq(targets).sum(),
  }
}

/**
 * The mean of `multiple-negatives` and of the cross entropy of the first text of each record among the first texts of all records.
 * @source sentence-transformers, MultipleNegativesSymmetricRankingLoss
 */
const symmetric: SimilarityLoss = (vectors, rows, { scale }) => {
  const scores = candidateScores(vectors, rows, scale)
  const targets = ownPlaces(rows.first, vectors)
  const back = scores.narrow(1, 0, rows.second.length).transpose(0, 1)
  const both = scores
    .crossEntropy(targets, { reduction: 'sum' })
    .add(back.contiguous().crossEntropy(targets, { reduction: 'sum' }))
  return { sum: both.mul(0.5), right: scores.detach().argmax(-1).eq(targets).sum() }
}

/** Below this squared length the gradient of a distance would grow without bound. */
const smallestSquare = 1e-12

/** Distances of two lists of vectors, row by row. */
const distances: { readonly [Distance in TripletDistance]: (a: Tensor, b: Tensor) => Tensor } = {
  euclidean: (a, b) => a.sub(b).square().sum(-1).add(smallestSquare).sqrt(),
  cosine: (a, b) => unitRows(a).mul(unitRows(b)).sum(-1).mul(-1).add(1),
}

/**
 * How much nearer than `margin` each negative is, compared with the second text: max(0, d(first, second) - d(first, negative) + margin).
 * The loss of a record is the mean over its negatives, and 0 without any.
 * @source Schroff et al. 2015, arXiv:1503.03832; sentence-transformers, TripletLoss
 */
const triplet: SimilarityLoss = (vectors, rows, { distance = 'euclidean', margin = tripletMargins[distance] }) => {
  const { first, second, negatives, owners } = rows
  if (negatives.length === 0) return { sum: vectors.sum().mul(0) }
  const anchors = rowsOf(
    vectors,
    owners.map((owner) => first[owner]),
  )
  const right = rowsOf(
    vectors,
    owners.map((owner) => second[owner]),
  )
  const counts = new Map<number, number>()
  for (const owner of owners) counts.set(owner, (counts.get(owner) ?? 0) + 1)
  const shares = numbers(
    owners.map((owner) => 1 / counts.get(owner)!),
    [owners.length],
    vectors,
  )
  const between = distances[distance]
  const short = between(anchors, right)
    .sub(between(anchors, rowsOf(vectors, negatives)))
    .add(margin)
    .relu()
  return { sum: short.mul(shares).sum() }
}

/**
 * The squared distance of each cosine from its label.
 * @source Reimers and Gurevych 2019, arXiv:1908.10084, section 3
 */
const cosine: SimilarityLoss = (vectors, rows) => {
  const labels = numbers(rows.labels, [rows.labels.length], vectors)
  return { sum: cosines(vectors, rows).sub(labels).square().sum() }
}

/**
 * Pairs of records in the wrong order: log(1 + sum of exp(scale (cosine of the less alike pair - cosine of the more alike one))).
 * @source Su 2022, kexue.fm/archives/8847 (CoSENT)
 */
const cosent: SimilarityLoss = (vectors, rows, { scale }) => {
  const { labels } = rows
  const count = labels.length
  const scores = cosines(vectors, rows).mul(scale)
  const ordered = new Float32Array(count * count)
  for (let i = 0; i < count; i++)
    for (let j = 0; j < count; j++) ordered[i * count + j] = labels[i] < labels[j] ? 0 : Number.NEGATIVE_INFINITY
  const differences = scores
    .unsqueeze(1)
    .sub(scores.unsqueeze(0))
    .add(numbers(ordered, [count, count], vectors))
  // The 1 is the exponential of a zero among the differences.
  const all = cat([zeros([1], { device: vectors.device }), differences.flatten()], 0)
  return { sum: all.logsumexp(0).mul(count) }
}

export const similarityLosses = {
  'multiple-negatives': multipleNegatives,
  symmetric,
  triplet,
  cosent,
  cosine,
} satisfies {
  [name: string]: SimilarityLoss
}
export type SimilarityLossName = keyof typeof similarityLosses

/**
 * The loss of whole vectors, and of their first numbers where `dimensions` has other lengths, added up.
 * @source Kusupati et al. 2022, arXiv:2205.13147 (Matryoshka)
 */
export const nested =
  (loss: SimilarityLoss, dimensions: readonly number[] = []): SimilarityLoss =>
  (vectors, rows, settings) => {
    const width = vectors.shape[1]
    const longest = Math.max(0, ...dimensions)
    if (longest > width)
      throw new ConfigError(
        `Expected at most ${width} for \`settings.dimensions\`, as vectors of this base have that many numbers, got ${longest}. Lower it.`,
      )
    const whole = loss(vectors, rows, settings)
    const parts = dimensions.map((length) => loss(vectors.narrow(1, 0, length), rows, settings).sum)
    return { ...whole, sum: parts.reduce((total, part) => total.add(part), whole.sum) }
  }
