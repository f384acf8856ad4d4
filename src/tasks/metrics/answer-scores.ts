// Exact match and F1 of answers by the official rules of SQuAD, versions 1.1 and 2.0, with the best threshold of no answer. Scores are
// shares; the official scripts give percent.
// @source Rajpurkar et al. 2016, arXiv:1606.05250; Rajpurkar et al. 2018, arXiv:1806.03822; official evaluate-v1.1.py and -v2.0.py
import { exactMatch, normalizedWords, wordF1 } from './answer-text.ts'
import type { ScoredUnits, Scores } from './scored-units.ts'

export interface AnswerScoresOptions {
  version: 1 | 2
  /** A prediction whose no-answer probability is above this counts as no answer (default: 1, as in the official script). */
  threshold?: number
}

interface Unit {
  exact: number
  f1: number
  hasAnswer: boolean
  /** Whether the prediction is a text, regardless of thresholds. */
  isText: boolean
  none: number | undefined
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
  readonly #units: Unit[] = []
  #order: number[] | undefined

  constructor(options: AnswerScoresOptions) {
    this.#options = options
  }

  get units(): number {
    return this.#units.length
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
    this.#units.push({
      exact: best(exactMatch),
      f1: best((a, b) => wordF1(a, b, version)),
      hasAnswer: references.length > 0,
      isText: prediction !== undefined && prediction !== '',
      none,
    })
    this.#order = undefined
  }

  scores(counts?: ArrayLike<number>): Scores {
    const { version, threshold = 1 } = this.#options
    const sums = { exact: 0, f1: 0, all: 0, answered: 0, answeredExact: 0, answeredF1: 0, noneExact: 0, noneF1: 0 }
    this.#units.forEach((unit, i) => {
      const count = counts === undefined ? 1 : counts[i]
      const isNone = unit.none !== undefined && unit.none > threshold
      const exact = count * (isNone ? Number(!unit.hasAnswer) : unit.exact)
      const f1 = count * (isNone ? Number(!unit.hasAnswer) : unit.f1)
      sums.all += count
      sums.exact += exact
      sums.f1 += f1
      if (unit.hasAnswer) {
        sums.answered += count
        sums.answeredExact += exact
        sums.answeredF1 += f1
      } else {
        sums.noneExact += exact
        sums.noneF1 += f1
      }
    })
    const scores: Scores = { exactMatch: sums.exact / sums.all, f1: sums.f1 / sums.all }
    if (version === 1) return scores
    const none = sums.all - sums.answered
    if (this.#units.some(({ hasAnswer }) => hasAnswer)) {
      scores.hasAnswerExactMatch = sums.answeredExact / sums.answered
      scores.hasAnswerF1 = sums.answeredF1 / sums.answered
    }
    if (this.#units.some(({ hasAnswer }) => !hasAnswer)) {
      scores.noAnswerExactMatch = sums.noneExact / none
      scores.noAnswerF1 = sums.noneF1 / none
    }
    if (this.#units.every((unit) => unit.none !== undefined)) {
      const [exact, f1] = [this.#best('exact', counts), this.#best('f1', counts)]
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
  #best(metric: 'exact' | 'f1', counts?: ArrayLike<number>): { value: number; threshold: number } {
    const units = this.#units
    this.#order ??= Array.from(units.keys()).sort((a, b) => units[a].none! - units[b].none!)
    let sum = 0
    units.forEach(({ hasAnswer }, i) => {
      if (!hasAnswer) sum += counts === undefined ? 1 : counts[i]
    })
    const best = { value: sum, threshold: 0 }
    for (const i of this.#order) {
      const unit = units[i]
      sum += (counts === undefined ? 1 : counts[i]) * (unit.hasAnswer ? unit[metric] : unit.isText ? -1 : 0)
      if (sum > best.value) {
        best.value = sum
        best.threshold = unit.none!
      }
    }
    return best
  }

  details(): { [name: string]: unknown } {
    const answered = this.#units.filter(({ hasAnswer }) => hasAnswer).length
    return { version: this.#options.version, hasAnswer: answered, noAnswer: this.#units.length - answered }
  }
}
