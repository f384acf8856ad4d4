// Scores of search: for each first text, where its second text stands among the texts of all records, by the cosine of their vectors.
// @source Järvelin and Kekäläinen 2002, doi.org/10.1145/582415.582418 (nDCG); Thakur et al. 2021, arXiv:2104.08663 (its use at 10)
import { inferenceMode, scope, Tensor } from '../../tensor/index.ts'
import type { ScoredUnits, Scores } from './scored-units.ts'

export const retrievalScoreNames = ['ndcgAt10', 'mrrAt10', 'recallAt1', 'recallAt10'] as const

/** Texts of a record with their vectors: the first text, the second one, and any number of negatives. */
export interface FoundTexts {
  texts: readonly string[]
  vectors: readonly Float32Array[]
}

/** First texts that are compared with all others at once. */
const together = 256

/** Texts with a vector each; equal texts are there once. */
class TextVectors {
  readonly #numbers = new Map<string, number>()
  readonly #vectors: Float32Array[] = []

  get length(): number {
    return this.#vectors.length
  }

  add(text: string, vector: Float32Array): number {
    const known = this.#numbers.get(text)
    if (known !== undefined) return known
    this.#numbers.set(text, this.#vectors.length)
    return this.#vectors.push(unit(vector)) - 1
  }

  /** Vectors from one number to another, float32 [to - from,C]. */
  rows(from: number, to: number): Tensor {
    const width = this.#vectors[0].length
    const values = new Float32Array((to - from) * width)
    for (let i = from; i < to; i++) values.set(this.#vectors[i], (i - from) * width)
    return Tensor.from(values, { shape: [to - from, width] })
  }
}

const unit = (vector: Float32Array): Float32Array => {
  const norm = Math.hypot(...vector)
  return vector.map((value) => value / Math.max(norm, 1e-12))
}

/**
 * Ranks of second texts. A text that is right for a first text by another record is left out of the ranking, and a text that is as near as
 * the right one stands before it: vectors that are all alike find nothing.
 */
export class RetrievalScores implements ScoredUnits {
  readonly #questions = new TextVectors()
  readonly #candidates = new TextVectors()
  /** Number of the first and of the second text of each record. */
  readonly #records: { question: number; answer: number }[] = []
  #ranks: Float64Array | undefined

  get units(): number {
    return this.#records.length
  }

  add({ texts, vectors }: FoundTexts): void {
    const question = this.#questions.add(texts[0], vectors[0])
    const [answer] = texts.slice(1).map((text, i) => this.#candidates.add(text, vectors[i + 1]))
    this.#records.push({ question, answer })
    this.#ranks = undefined
  }

  /** Rank of the second text of each record, from 1. */
  ranks(): Float64Array {
    this.#ranks ??= this.#computeRanks()
    return this.#ranks
  }

  #computeRanks(): Float64Array {
    const answers = Array.from({ length: this.#questions.length }, () => new Set<number>())
    const records = answers.map((): number[] => [])
    for (const [i, { question, answer }] of this.#records.entries()) {
      answers[question].add(answer)
      records[question].push(i)
    }
    const ranks = new Float64Array(this.#records.length)
    const count = this.#candidates.length
    inferenceMode(() =>
      scope(() => {
        const candidates = this.#candidates.rows(0, count).transpose(0, 1)
        for (let from = 0; from < answers.length; from += together) {
          const to = Math.min(answers.length, from + together)
          const scores = scope(() => this.#questions.rows(from, to).matmul(candidates).toFloat32Array())
          for (let question = from; question < to; question++) {
            const own = scores.subarray((question - from) * count, (question - from + 1) * count)
            for (const i of records[question]) ranks[i] = rankOf(own, this.#records[i].answer, answers[question])
          }
        }
      }),
    )
    return ranks
  }

  scores(counts?: ArrayLike<number>): Scores {
    const sums: Record<(typeof retrievalScoreNames)[number], number> = {
      ndcgAt10: 0,
      mrrAt10: 0,
      recallAt1: 0,
      recallAt10: 0,
    }
    let units = 0
    this.ranks().forEach((rank, i) => {
      const count = counts === undefined ? 1 : counts[i]
      units += count
      if (rank > 10) return
      sums.ndcgAt10 += count / Math.log2(1 + rank)
      sums.mrrAt10 += count / rank
      sums.recallAt10 += count
      if (rank === 1) sums.recallAt1 += count
    })
    return Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / units]))
  }

  details(): { [name: string]: unknown } {
    return { candidates: this.#candidates.length }
  }
}

const rankOf = (scores: Float32Array, answer: number, right: ReadonlySet<number>): number => {
  const own = scores[answer]
  let rank = 1
  // Not `>=`: vectors of a model that has diverged are NaN, and find nothing.
  for (let i = 0; i < scores.length; i++) if (!(scores[i] < own) && i !== answer && !right.has(i)) rank++
  return rank
}
