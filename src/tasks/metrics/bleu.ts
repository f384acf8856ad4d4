// BLEU as in sacreBLEU: tokens of mteval-v13a, n-grams of up to four words, exponential smoothing. Corpus BLEU uses summed counts;
// sentence BLEU uses the n-gram orders that the text has. Values are 0 to 100.
// @source Papineni et al. 2002, aclanthology.org/P02-1040; Post 2018, arXiv:1804.08771; sacrebleu 2.6.0
import { defineMetric, type MetricAccumulator, type TextPair } from './text-metric.ts'
import { spacedWords, trimmedEnd } from './white-space.ts'

const orders = 4

const entities: readonly (readonly [string, string])[] = [
  ['&quot;', '"'],
  ['&amp;', '&'],
  ['&lt;', '<'],
  ['&gt;', '>'],
]

/** The tokens of NIST's mteval-v13a. */
const mtevalTokens = (text: string): string[] => {
  let line = trimmedEnd(text).replaceAll('<skipped>', '').replaceAll('-\n', '').replaceAll('\n', ' ')
  for (const [entity, character] of entities) line = line.replaceAll(entity, character)
  const apart = ` ${line} `
    .replace(/[{-~[-` -&(-+:-@/]/g, ' $& ')
    .replace(/([^0-9])([.,])/gu, '$1 $2 ')
    .replace(/([.,])([^0-9])/gu, ' $1 $2')
    .replace(/([0-9])(-)/g, '$1 $2 ')
  return spacedWords(apart)
}

/** How often each n-gram of one to four tokens occurs, by order. */
const countGrams = (tokens: readonly string[]): Map<string, number>[] =>
  Array.from({ length: orders }, (_, less) => {
    const counts = new Map<string, number>()
    for (let i = 0; i + less < tokens.length; i++) {
      const gram = less === 0 ? tokens[i] : tokens.slice(i, i + less + 1).join(' ')
      counts.set(gram, (counts.get(gram) ?? 0) + 1)
    }
    return counts
  })

/** Lengths of the prediction and of the closest reference, then matches and n-grams by order. */
const bleuCounts = ({ prediction, references }: TextPair): Float64Array => {
  const predicted = mtevalTokens(prediction)
  const counts = new Float64Array(2 + 2 * orders)
  const rights = references.map(mtevalTokens)
  const grams = rights.map(countGrams)
  counts[0] = predicted.length
  counts[1] = rights
    .map(({ length }) => length)
    .reduce((best, length) => {
      const [far, near] = [Math.abs(predicted.length - best), Math.abs(predicted.length - length)]
      return near < far || (near === far && length < best) ? length : best
    })
  countGrams(predicted).forEach((predictedGrams, order) => {
    for (const [gram, count] of predictedGrams) {
      const right = grams.reduce((high, each) => Math.max(high, each[order].get(gram) ?? 0), 0)
      counts[2 + order] += Math.min(count, right)
      counts[2 + orders + order] += count
    }
  })
  return counts
}

interface Bleu {
  value: number
  precisions: number[]
  brevityPenalty: number
}

/** From sums of counts. @param effective leaves out n-gram orders longer than the prediction, for single texts */
const bleuOf = (sums: ArrayLike<number>, effective: boolean): Bleu => {
  const [predicted, right] = [sums[0], sums[1]]
  const brevityPenalty = predicted >= right ? 1 : predicted > 0 ? Math.exp(1 - right / predicted) : 0
  const precisions = new Array<number>(orders).fill(0)
  let matches = 0
  for (let order = 0; order < orders; order++) matches += sums[2 + order]
  if (matches === 0) return { value: 0, precisions, brevityPenalty }
  let halving = 1
  let used = orders
  for (let order = 0; order < orders; order++) {
    const [hits, all] = [sums[2 + order], sums[2 + orders + order]]
    if (all === 0) break
    if (effective) used = order + 1
    if (hits === 0) halving *= 2
    precisions[order] = hits === 0 ? 100 / (halving * all) : (100 * hits) / all
  }
  let logs = 0
  for (let order = 0; order < used; order++) logs += precisions[order] === 0 ? -9999999999 : Math.log(precisions[order])
  return { value: brevityPenalty * Math.exp(logs / used), precisions, brevityPenalty }
}

/** BLEU of one text, 0 to 100. */
export const sentenceBleu = (pair: TextPair): number => bleuOf(bleuCounts(pair), true).value

export const bleu = defineMetric({
  name: 'bleu',
  direction: 'higher',
  unit: 'percent',
  summary: 'BLEU of the corpus',
  source: 'arXiv:1804.08771',
  create(): MetricAccumulator {
    const references = new Set<number>()
    return {
      width: 2 + 2 * orders,
      measure(pair) {
        references.add(pair.references.length)
        return bleuCounts(pair)
      },
      scores: (sums) => ({ bleu: bleuOf(sums, false).value }),
      details(sums) {
        const { value, precisions, brevityPenalty } = bleuOf(sums, false)
        return {
          value,
          precisions,
          brevityPenalty,
          predictionTokens: sums[0],
          referenceTokens: sums[1],
          signature: `nrefs:${references.size === 1 ? [...references][0] : 'var'}|case:mixed|eff:no|tok:13a|smooth:exp|as:sacrebleu-2.6.0`,
        }
      },
    }
  },
})
