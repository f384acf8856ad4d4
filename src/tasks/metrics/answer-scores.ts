// Exact match and F1 of answers by the official rules of SQuAD, versions 1.1 and 2.0, with the best threshold of no answer. Scores are
// shares; the official scripts give percent.
// @source Rajpurkar et al. 2016, arXiv:1606.05250; Rajpurkar et al. 2018, arXiv:1806.03822; official evaluate-v1.1.py and -v2.0.py
import { GrowingList, type ScoredUnits, type Scores } from './scored-units.ts'
import { spacedWords } from './white-space.ts'

// @source Rajpurkar et al. 2016, arXiv:1606.05250, section 6.1; Rajpurkar et al. 2018, arXiv:1806.03822
const punctuation = /[!-/:-@[-`{-~]/g
// Word boundaries of Python's \b: letters, digits and the underscore, in any script.
const article = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu

export const normalizedWords = (text: string): string[] =>
  spacedWords(lowered(text).replace(punctuation, '').replace(article, ' '))

/** Equal to Python's lower(): both follow Unicode's rules for final sigma and dotted I. */
const lowered = (text: string): string => text.toLowerCase()

export const exactMatch = (prediction: readonly string[], reference: readonly string[]): number =>
  prediction.length === reference.length && prediction.every((word, i) => word === reference[i]) ? 1 : 0

/** F1 of bags of words. Without words on one side: in version 2, 1 if both have none, else 0; in version 1, always 0. */
export const wordF1 = (prediction: readonly string[], reference: readonly string[], version: 1 | 2): number => {
  if (version === 2 && (prediction.length === 0 || reference.length === 0))
    return prediction.length === reference.length ? 1 : 0
  const left = new Map<string, number>()
  for (const word of reference) left.set(word, (left.get(word) ?? 0) + 1)
  let both = 0
  for (const word of prediction) {
    const count = left.get(word) ?? 0
    if (count === 0) continue
    left.set(word, count - 1)
    both++
  }
  return both === 0 ? 0 : (2 * both) / (prediction.length + reference.length)
}

interface AnswerScoresOptions {
  version: 1 | 2
  /** A prediction whose no-answer probability is above this counts as no answer (default: 1, as in the official script). */
  threshold?: number
}

/**
 * Names of the scores of answer spans; those of questions with and without an answer are missing where the data has none of them,
 * and the best ones where predictions have no probabilities of no answer.
 */
export const spanScoreNames = (version: 1 | 2): string[] => [
  'exactMatch',
  'f1',
  ...(version === 1
    ? []
    : ['hasAnswerExactMatch', 'hasAnswerF1', 'noAnswerExactMatch', 'noAnswerF1', 'bestExactMatch', 'bestF1']),
]

export class AnswerScores implements ScoredUnits {
  readonly #options: AnswerScoresOptions
  readonly #exact = new GrowingList()
  readonly #f1 = new GrowingList()
  /** 1 for a question with an answer. */
  readonly #hasAnswer = new GrowingList()
  /** 1 for a prediction that is a text, regardless of thresholds. */
  readonly #isText = new GrowingList()
  /** Probabilities of no answer; NaN where they are not known. */
  readonly #none = new GrowingList()
  #order: Uint32Array | undefined

  constructor(options: AnswerScoresOptions) {
    this.#options = options
  }

  get units(): number {
    return this.#exact.length
  }

  /**
   * @param references empty for a question without an answer
   * @param prediction '' for no answer, undefined for a missing prediction
   * @param none probability of no answer
   */
  add(references: readonly string[], prediction: string | undefined, none?: number): void {
    const { version } = this.#options
    const golds = references.map(normalizedWords).filter((words) => version === 1 || words.length > 0)
    if (version === 2 && golds.length === 0) golds.push([])
    const words = prediction === undefined ? undefined : normalizedWords(prediction)
    const best = (score: (prediction: readonly string[], reference: readonly string[]) => number) =>
      words === undefined ? 0 : golds.reduce((most, gold) => Math.max(most, score(words, gold)), 0)
    this.#exact.push(best(exactMatch))
    this.#f1.push(best((a, b) => wordF1(a, b, version)))
    this.#hasAnswer.push(Number(references.length > 0))
    this.#isText.push(Number(prediction !== undefined && prediction !== ''))
    this.#none.push(none ?? Number.NaN)
    this.#order = undefined
  }

  scores(counts?: ArrayLike<number>): Scores {
    const { version, threshold = 1 } = this.#options
    const sums = { exact: 0, f1: 0, all: 0, answered: 0, answeredExact: 0, answeredF1: 0, noneExact: 0, noneF1: 0 }
    const [exacts, f1s, hasAnswer, nones] = [this.#exact, this.#f1, this.#hasAnswer, this.#none].map((list) =>
      list.values(),
    )
    let isComplete = true
    for (let i = 0; i < exacts.length; i++) {
      const count = counts === undefined ? 1 : counts[i]
      isComplete &&= !Number.isNaN(nones[i])
      const isNone = nones[i] > threshold
      const exact = count * (isNone ? 1 - hasAnswer[i] : exacts[i])
      const f1 = count * (isNone ? 1 - hasAnswer[i] : f1s[i])
      sums.all += count
      sums.exact += exact
      sums.f1 += f1
      if (hasAnswer[i] === 1) {
        sums.answered += count
        sums.answeredExact += exact
        sums.answeredF1 += f1
      } else {
        sums.noneExact += exact
        sums.noneF1 += f1
      }
    }
    const scores: Scores = { exactMatch: sums.exact / sums.all, f1: sums.f1 / sums.all }
    if (version === 1) return scores
    const none = sums.all - sums.answered
    if (hasAnswer.includes(1)) {
      scores.hasAnswerExactMatch = sums.answeredExact / sums.answered
      scores.hasAnswerF1 = sums.answeredF1 / sums.answered
    }
    if (hasAnswer.includes(0)) {
      scores.noAnswerExactMatch = sums.noneExact / none
      scores.noAnswerF1 = sums.noneF1 / none
    }
    if (isComplete) {
      const [exact, f1] = [this.#best(exacts, counts), this.#best(f1s, counts)]
      scores.bestExactMatch = exact.value / sums.all
      scores.bestExactMatchThreshold = exact.threshold
      scores.bestF1 = f1.value / sums.all
      scores.bestF1Threshold = f1.threshold
    }
    return scores
  }

  /**
   * The threshold with the best sum: starting with no answer for all questions, answers are added in ascending order of their
   * no-answer probability. As in the official script, equal probabilities are separate steps.
   */
  #best(scores: Float64Array, counts?: ArrayLike<number>): { value: number; threshold: number } {
    const [hasAnswer, isText, nones] = [this.#hasAnswer.values(), this.#isText.values(), this.#none.values()]
    this.#order ??= Uint32Array.from(nones.keys()).sort((a, b) => nones[a] - nones[b] || a - b)
    let sum = 0
    hasAnswer.forEach((has, i) => {
      if (has === 0) sum += counts === undefined ? 1 : counts[i]
    })
    const best = { value: sum, threshold: 0 }
    for (const i of this.#order) {
      sum += (counts === undefined ? 1 : counts[i]) * (hasAnswer[i] === 1 ? scores[i] : -isText[i])
      if (sum > best.value) {
        best.value = sum
        best.threshold = nones[i]
      }
    }
    return best
  }

  details(): { [name: string]: unknown } {
    const answered = this.#hasAnswer.values().reduce((sum, has) => sum + has, 0)
    return { version: this.#options.version, hasAnswer: answered, noAnswer: this.units - answered }
  }
}
