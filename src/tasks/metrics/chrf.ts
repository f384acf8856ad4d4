// chrF and chrF++ as in sacreBLEU: F2 score of character n-grams of order one to six without white space; chrF++ adds words and pairs of
// words. Corpus scores use summed counts, with the best reference of each text. Values are 0 to 100.
// @source Popović 2015, aclanthology.org/W15-3049; Popović 2017, aclanthology.org/W17-4770; sacrebleu 2.6.0
import type { MetricAccumulator, MetricDefinition, TextPair } from './text-metric.ts'
import { spacedWords } from './white-space.ts'

const characterOrders = 6
const betaSquared = 4

type Grams = Map<string, number>

/** Character n-grams by order; a character is a code point, as in Python. */
const characterGrams = (text: string): Grams[] => {
  const starts: number[] = []
  for (let at = 0; at < text.length; at += text.codePointAt(at)! > 0xffff ? 2 : 1) starts.push(at)
  starts.push(text.length)
  return Array.from({ length: characterOrders }, (_, less) => {
    const counts: Grams = new Map()
    for (let i = 0; i + less + 1 < starts.length; i++) {
      const gram = text.slice(starts[i], starts[i + less + 1])
      counts.set(gram, (counts.get(gram) ?? 0) + 1)
    }
    return counts
  })
}

const wordGrams = (words: readonly string[], size: number): Grams => {
  const counts: Grams = new Map()
  for (let i = 0; i + size <= words.length; i++) {
    const gram = size === 1 ? words[i] : words.slice(i, i + size).join(' ')
    counts.set(gram, (counts.get(gram) ?? 0) + 1)
  }
  return counts
}

/** Words with punctuation at the end, or else at the start, as separate words. */
const chrfWords = (text: string): string[] =>
  spacedWords(text).flatMap((word) => {
    // As in the original, words of a single character are left whole.
    if (word.length <= 2 && [...word].length === 1) return [word]
    if (/[!-/:-@[-`{-~]$/.test(word)) return [word.slice(0, -1), word.slice(-1)]
    return /^[!-/:-@[-`{-~]/.test(word) ? [word[0], word.slice(1)] : [word]
  })

const gramsOf = (text: string, wordOrders: number): Grams[] => {
  const all = characterGrams(spacedWords(text).join(''))
  const words = wordOrders > 0 ? chrfWords(text) : []
  for (let size = 1; size <= wordOrders; size++) all.push(wordGrams(words, size))
  return all
}

/** For each order: counts of n-grams of the prediction, of the reference, and of both. */
const matched = (predicted: readonly Grams[], right: readonly Grams[]): number[] =>
  predicted.flatMap((grams, order) => {
    const rights = right[order]
    let [predictedCount, rightCount, both] = [0, 0, 0]
    for (const [gram, count] of grams) {
      predictedCount += count
      const other = rights.get(gram)
      if (other !== undefined) both += Math.min(count, other)
    }
    for (const count of rights.values()) rightCount += count
    return [rights.size === 0 ? 0 : predictedCount, rightCount, both]
  })

/** The score from sums of counts; orders without n-grams on one side are left out. */
const chrfOf = (sums: ArrayLike<number>): number => {
  let [precision, recall, used] = [0, 0, 0]
  for (let at = 0; at < sums.length; at += 3) {
    const [predicted, right, both] = [sums[at], sums[at + 1], sums[at + 2]]
    if (predicted === 0 || right === 0) continue
    precision += both / predicted
    recall += both / right
    used++
  }
  if (precision + recall === 0) return 0
  precision /= used
  recall /= used
  return (100 * ((1 + betaSquared) * precision * recall)) / (betaSquared * precision + recall)
}

const chrfCounts = ({ prediction, references }: TextPair, wordOrders: number): number[] => {
  const predicted = gramsOf(prediction, wordOrders)
  let best: { counts: number[]; score: number } | undefined
  for (const reference of references) {
    const counts = matched(predicted, gramsOf(reference, wordOrders))
    const score = chrfOf(counts)
    if (best === undefined || score > best.score) best = { counts, score }
  }
  return best!.counts
}

const chrfMetric = <const Name extends string>(
  name: Name,
  summary: string,
  wordOrders: number,
): MetricDefinition<Name> => ({
  name,
  direction: 'higher',
  unit: 'percent',
  summary,
  source: 'aclanthology.org/W15-3049',
  create(): MetricAccumulator {
    const references = new Set<number>()
    return {
      width: 3 * (characterOrders + wordOrders),
      measure(pair) {
        references.add(pair.references.length)
        return chrfCounts(pair, wordOrders)
      },
      scores: (sums) => ({ [name]: chrfOf(sums) }),
      details: (sums) => ({
        value: chrfOf(sums),
        signature: `nrefs:${references.size === 1 ? [...references][0] : 'var'}|case:mixed|eff:yes|nc:6|nw:${wordOrders}|space:no|as:sacrebleu-2.6.0`,
      }),
    }
  },
})

export const chrf = chrfMetric('chrf', 'chrF of the corpus', 0)
export const chrfPlusPlus = chrfMetric('chrf++', 'chrF++ of the corpus: chrF with single words and pairs of words', 2)
