// Answers compared exactly, by their words, or by their last number. Scores are shares; of several references the best counts.
// @source Rajpurkar et al. 2016, arXiv:1606.05250; Cobbe et al. 2021, arXiv:2110.14168; gsm8k of the lm-evaluation-harness 0.4
import { normalizedWords, exactMatch as sameWords, wordF1 } from './answer-scores.ts'
import { defineMetric, type TextPair } from './text-metric.ts'
import { trimmed } from './white-space.ts'

const best = ({ references }: TextPair, score: (reference: string) => number): number =>
  references.reduce((high, reference) => Math.max(high, score(reference)), 0)

export const exactMatch = defineMetric({
  name: 'exactMatch',
  direction: 'higher',
  unit: 'share',
  summary: 'share of answers that are equal to a reference',
  source: 'arXiv:1606.05250',
  create: ({ normalized }) => ({
    width: 1,
    measure(pair) {
      if (!normalized) {
        const predicted = trimmed(pair.prediction)
        return [best(pair, (reference) => Number(trimmed(reference) === predicted))]
      }
      const predicted = normalizedWords(pair.prediction)
      return [best(pair, (reference) => sameWords(predicted, normalizedWords(reference)))]
    },
    scores: ([sum], units) => ({ exactMatch: sum / units }),
  }),
})

export const tokenF1 = defineMetric({
  name: 'tokenF1',
  direction: 'higher',
  unit: 'share',
  summary: 'F1 of the words of an answer',
  source: 'arXiv:1606.05250',
  create: () => ({
    width: 1,
    measure(pair) {
      const predicted = normalizedWords(pair.prediction)
      return [best(pair, (reference) => wordF1(predicted, normalizedWords(reference), 1))]
    },
    scores: ([sum], units) => ({ tokenF1: sum / units }),
  }),
})

// A sign does not follow a word; commas precede three digits.
const numbers =
  /(?:(?<![\p{L}\p{N})])[-−])?[$€£]?(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?/gu

/** The first number after the marker ####, else the last number of the text: NaN without one. */
export const answerNumber = (text: string): number => {
  const marked = /####\s*(.*)/s.exec(text)?.[1].match(numbers)?.[0]
  const found = marked ?? text.match(numbers)?.at(-1)
  return found === undefined ? Number.NaN : Number(found.replace(/[$€£,]/g, '').replace('−', '-'))
}

const missing = '[invalid]'

/** Normalised as in the harness: without text up to the marker, commas, dollar signs and a final full stop. */
const plain = (text: string): string =>
  text
    .replaceAll(',', '')
    .replaceAll('$', '')
    .replace(/^.*#### /s, '')
    .replace(/\.(?=\n?$)/, '')
    .toLowerCase()

/** The harness's strict-match: what follows the first marker. */
const strictNumber = (text: string): string => {
  const found = /#### (-?[0-9.,]+)/.exec(text)?.[1]
  return found === undefined ? missing : found
}

/** The harness's flexible-extract: the last number-like string. */
const flexibleNumber = (text: string): string => text.match(/-?[$0-9.,]{2,}|-?[0-9]+/g)?.at(-1) ?? missing

export const numericMatch = defineMetric({
  name: 'numericMatch',
  direction: 'higher',
  unit: 'share',
  otherScores: ['strictMatch', 'flexibleMatch'],
  summary:
    'share of answers with the right number, by value and by the two rules of the lm-evaluation-harness for gsm8k',
  source: 'arXiv:2110.14168',
  create: () => ({
    width: 3,
    measure(pair) {
      const value = answerNumber(pair.prediction)
      const strict = plain(strictNumber(pair.prediction))
      const flexible = plain(flexibleNumber(pair.prediction))
      return [
        best(pair, (reference) => Number(answerNumber(reference) === value)),
        best(pair, (reference) => Number(plain(reference) === strict)),
        best(pair, (reference) => Number(plain(reference) === flexible)),
      ]
    },
    scores: ([value, strict, flexible], units) => ({
      numericMatch: value / units,
      strictMatch: strict / units,
      flexibleMatch: flexible / units,
    }),
  }),
})
