// ROUGE-N, ROUGE-L and ROUGE-Lsum as in Google's rouge-score package: words of a-z and 0-9 in lower case, the reference with the best F1,
// and for ROUGE-Lsum one sentence per line. Values are shares.
// @source Lin 2004, aclanthology.org/W04-1013; rouge-score 0.1.2
import type { F1 } from './class-counts.ts'
import { stemmed } from './porter-stemmer.ts'
import type { MetricAccumulator, MetricDefinition, TextPair } from './text-metric.ts'

// @source Hyyrö 2004, Bit-parallel LCS-length computation revisited
interface Places {
  /** Ascending positions of a value in `other`. */
  of(value: number): readonly number[] | undefined
  words: number
}

const placesIn = (other: ArrayLike<number>): Places => {
  const places = new Map<number, number[]>()
  for (let j = 0; j < other.length; j++) {
    const list = places.get(other[j])
    if (list === undefined) places.set(other[j], [j])
    else list.push(j)
  }
  return { of: (value) => places.get(value), words: (other.length + 31) >>> 5 }
}

/** The initial row; a zero bit marks a column where the length grows. */
const firstRow = (words: number): Uint32Array => new Uint32Array(words).fill(0xffffffff)

/** Advances the row by one value with matches at `places`. Words without a match only propagate carries. */
const advance = (row: Uint32Array, places: readonly number[] | undefined): void => {
  if (places === undefined) return
  let at = 0
  let carry = 0
  let word = 0
  while (at < places.length || carry > 0) {
    if (carry === 0) word = places[at] >>> 5
    if (word >= row.length) return
    let mask = 0
    for (; at < places.length && places[at] >>> 5 === word; at++) mask |= 1 << (places[at] & 31)
    const bits = row[word]
    const matched = (bits & mask) >>> 0
    const sum = bits + matched + carry
    row[word] = (sum | (bits & ~matched)) >>> 0
    carry = sum > 0xffffffff ? 1 : 0
    word++
  }
}

const ones = (bits: number): number => {
  let rest = bits - ((bits >>> 1) & 0x55555555)
  rest = (rest & 0x33333333) + ((rest >>> 2) & 0x33333333)
  return (((rest + (rest >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24
}

/** The length of the subsequence up to column `to`, exclusive. */
const lengthAt = (row: Uint32Array, to: number): number => {
  let grown = 0
  const whole = to >>> 5
  for (let word = 0; word < whole; word++) grown += ones(~row[word] >>> 0)
  const rest = to & 31
  return rest === 0 ? grown : grown + ones((~row[whole] & ((1 << rest) - 1)) >>> 0)
}

const grows = (row: Uint32Array, place: number): boolean => ((row[place >>> 5] >>> (place & 31)) & 1) === 0

export const lcsLength = (one: ArrayLike<number>, other: ArrayLike<number>): number => {
  const places = placesIn(other)
  const row = firstRow(places.words)
  for (let i = 0; i < one.length; i++) advance(row, places.of(one[i]))
  return lengthAt(row, other.length)
}

/**
 * Marks the positions in `one` of the longest common subsequence that backtracking from the end finds, as rouge-score does. Memory:
 * O(one + other * sqrt(one)).
 */
export const markLcs = (one: ArrayLike<number>, other: ArrayLike<number>, marks: Uint8Array): void => {
  const places = placesIn(other)
  const { words } = places
  const block = Math.max(1, Math.ceil(Math.sqrt(one.length)))
  const starts: Uint32Array[] = []
  const row = firstRow(words)
  for (let i = 0; i < one.length; i++) {
    if (i % block === 0) starts.push(row.slice())
    advance(row, places.of(one[i]))
  }
  const rows = Array.from({ length: block + 1 }, () => new Uint32Array(words))
  let j = other.length
  for (let start = starts.length - 1; start >= 0 && j > 0; start--) {
    const from = start * block
    const to = Math.min(one.length, from + block)
    rows[0].set(starts[start])
    for (let i = from; i < to; i++) {
      rows[i - from + 1].set(rows[i - from])
      advance(rows[i - from + 1], places.of(one[i]))
    }
    for (let i = to; i > from && j > 0; ) {
      const [above, here] = [rows[i - from - 1], rows[i - from]]
      if (one[i - 1] === other[j - 1]) {
        marks[i - 1] = 1
        i--
        j--
      } else if (!grows(here, j - 1) && lengthAt(above, j) < lengthAt(here, j)) j--
      else i--
    }
  }
}

/** Words as numbers; words with the same stem have the same number. */
class RougeWords {
  readonly #stemming: boolean
  readonly #ofWord = new Map<string, number>()
  readonly #ofStem = new Map<string, number>()

  constructor(stemming: boolean) {
    this.#stemming = stemming
  }

  numbers(text: string): number[] {
    const words = text.toLowerCase().match(/[a-z0-9]+/g) ?? []
    return words.map((word) => {
      let number = this.#ofWord.get(word)
      if (number === undefined) {
        const stem = this.#stemming && word.length > 3 ? stemmed(word) : word
        number = this.#ofStem.get(stem) ?? this.#ofStem.size
        this.#ofStem.set(stem, number)
        this.#ofWord.set(word, number)
      }
      return number
    })
  }

  lines(text: string): number[][] {
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => this.numbers(line))
  }
}

const scored = (hits: number, predicted: number, right: number): F1 => {
  const precision = predicted === 0 ? 0 : hits / predicted
  const recall = right === 0 ? 0 : hits / right
  return { precision, recall, f1: precision + recall > 0 ? (2 * precision * recall) / (precision + recall) : 0 }
}

const most = 2 ** 26

const countGrams = (words: readonly number[], size: 1 | 2): Map<number, number> => {
  const counts = new Map<number, number>()
  for (let i = size - 1; i < words.length; i++) {
    const gram = size === 1 ? words[i] : words[i - 1] * most + words[i]
    counts.set(gram, (counts.get(gram) ?? 0) + 1)
  }
  return counts
}

const gramScore = (predicted: readonly number[], right: readonly number[], size: 1 | 2): F1 => {
  const grams = countGrams(right, size)
  let hits = 0
  for (const [gram, count] of countGrams(predicted, size)) hits += Math.min(count, grams.get(gram) ?? 0)
  return scored(hits, Math.max(0, predicted.length - size + 1), Math.max(0, right.length - size + 1))
}

const subsequenceScore = (predicted: readonly number[], right: readonly number[]): F1 =>
  scored(lcsLength(right, predicted), predicted.length, right.length)

/** Words of each reference line that are in a longest common subsequence with any predicted line; none counts more often than it occurs. */
const summaryScore = (predicted: readonly number[][], right: readonly number[][]): F1 => {
  const [predictedWords, rightWords] = [predicted.flat(), right.flat()]
  const [predictedLeft, rightLeft] = [countGrams(predictedWords, 1), countGrams(rightWords, 1)]
  let hits = 0
  for (const line of right) {
    const marks = new Uint8Array(line.length)
    for (const other of predicted) markLcs(line, other, marks)
    line.forEach((word, i) => {
      const left = predictedLeft.get(word) ?? 0
      if (marks[i] === 0 || left === 0 || rightLeft.get(word) === 0) return
      hits++
      predictedLeft.set(word, left - 1)
      rightLeft.set(word, rightLeft.get(word)! - 1)
    })
  }
  return scored(hits, predictedWords.length, rightWords.length)
}

/** The score of the reference with the highest F1. */
const bestOf = (references: readonly string[], score: (reference: string) => F1): F1 =>
  references.map(score).reduce((best, each) => (each.f1 > best.f1 ? each : best))

type Score = (words: RougeWords, { prediction, references }: TextPair) => F1

const gramsOf =
  (size: 1 | 2): Score =>
  (words, { prediction, references }) => {
    const predicted = words.numbers(prediction)
    return bestOf(references, (reference) => gramScore(predicted, words.numbers(reference), size))
  }

const rougeMetric = <const Name extends string>(name: Name, summary: string, score: Score): MetricDefinition<Name> => ({
  name,
  direction: 'higher',
  unit: 'share',
  summary,
  source: 'aclanthology.org/W04-1013',
  create({ stemming }): MetricAccumulator {
    const words = new RougeWords(stemming)
    return {
      width: 3,
      measure(pair) {
        const { precision, recall, f1 } = score(words, pair)
        return [precision, recall, f1]
      },
      scores: (sums, units) => ({ [name]: sums[2] / units }),
      details: ([precision, recall, f1], units) => ({
        precision: precision / units,
        recall: recall / units,
        f1: f1 / units,
        stemming,
      }),
    }
  },
})

export const rouge1 = rougeMetric('rouge1', 'F1 of single words', gramsOf(1))
export const rouge2 = rougeMetric('rouge2', 'F1 of pairs of words', gramsOf(2))
export const rougeL = rougeMetric(
  'rougeL',
  'F1 of the longest common subsequence',
  (words, { prediction, references }) => {
    const predicted = words.numbers(prediction)
    return bestOf(references, (reference) => subsequenceScore(predicted, words.numbers(reference)))
  },
)
export const rougeLsum = rougeMetric(
  'rougeLsum',
  'F1 of the longest common subsequences, line by line',
  (words, { prediction, references }) => {
    const predicted = words.lines(prediction)
    return bestOf(references, (reference) => summaryScore(predicted, words.lines(reference)))
  },
)
