// Scores of rewards: how often the better answer has the higher one, whether their difference is a probability, and how much length alone
// explains.
// @source Lambert et al. 2024, arXiv:2403.13787 (accuracy, ties); Singhal et al. 2023, arXiv:2310.03716 (length)
import { bootstrapRatio } from './bootstrap.ts'
import { Calibration, type CalibrationBin } from './calibration.ts'
import { pearson, ranks, risingOrder } from './number-scores.ts'
import type { ScoredUnits, Scores } from './scored-units.ts'

export const rewardScoreNames = [
  'accuracy',
  'equalLengthAccuracy',
  'rewardMargin',
  'lengthCorrelation',
  'calibrationError',
] as const

/** Relative difference in length up to which two answers are as long as each other. */
const equalLength = 0.1

/** The answers to one prompt with their rewards. */
export interface RewardedAnswers {
  /** Higher is better. */
  rewards: readonly number[]
  /** Scores in logits, whose differences are calibrated; undefined for rewards of another kind. */
  logits: readonly number[] | undefined
  /** Lengths in characters. */
  lengths: readonly number[]
  pairs: readonly (readonly [better: number, worse: number])[]
  good: readonly boolean[] | undefined
  category: string | undefined
}

/** A decision: a pair of answers, or a rated answer against 0. */
interface Decision {
  unit: number
  /** Above 0 if it is right; in logits where they are known. */
  margin: number
  isEqual: boolean
}

const isAsLong = (a: number, b: number): boolean => Math.abs(a - b) <= equalLength * Math.max(a, b)

/** 1 for a right decision, 0 for a wrong one; a tie counts half. */
const rightness = (margin: number): number => (margin > 0 ? 1 : margin < 0 ? 0 : 0.5)

const decisionsOf = (unit: number, { rewards, logits, lengths, pairs, good }: RewardedAnswers): Decision[] => {
  // Rewards are shifted, so that only logits tell on which side of 0 a rated answer is.
  const values = logits ?? rewards
  return [
    ...pairs.map(([better, worse]) => ({
      unit,
      margin: values[better] - values[worse],
      isEqual: isAsLong(lengths[better], lengths[worse]),
    })),
    ...(good ?? []).map((one, i) => ({ unit, margin: values[i] * (one ? 1 : -1), isEqual: false })),
  ]
}

/** Rewards of answers compared with which are better. */
export class RewardScores implements ScoredUnits {
  readonly #decisions: Decision[] = []
  readonly #categories: (string | undefined)[] = []
  readonly #calibration = new Calibration()
  readonly #answers: { unit: number; reward: number; length: number }[] = []
  /** Whether all answers have logits. */
  #calibrated = true
  /** Rewards and lengths of all answers, sorted once: bootstrap resamples only change the counts. */
  #sorted: { rewards: number[]; lengths: number[]; byReward: Uint32Array; byLength: Uint32Array } | undefined

  get units(): number {
    return this.#categories.length
  }

  add(answers: RewardedAnswers): void {
    const unit = this.units
    this.#categories.push(answers.category)
    if (answers.logits === undefined) this.#calibrated = false
    for (const decision of decisionsOf(unit, answers)) {
      this.#decisions.push(decision)
      const { margin } = decision
      this.#calibration.add(1 / (1 + Math.exp(-Math.abs(margin))), margin > 0)
    }
    answers.rewards.forEach((reward, i) => {
      this.#answers.push({ unit, reward, length: answers.lengths[i] })
    })
    this.#sorted = undefined
  }

  #sortedAnswers() {
    if (this.#sorted !== undefined) return this.#sorted
    const rewards = this.#answers.map(({ reward }) => reward)
    const lengths = this.#answers.map(({ length }) => length)
    this.#sorted = { rewards, lengths, byReward: risingOrder(rewards), byLength: risingOrder(lengths) }
    return this.#sorted
  }

  #lengthCorrelation(counts?: ArrayLike<number>): number {
    const { rewards, lengths, byReward, byLength } = this.#sortedAnswers()
    const own = counts === undefined ? undefined : Float64Array.from(this.#answers, ({ unit }) => counts[unit])
    return pearson({ right: ranks(lengths, byLength, own), predicted: ranks(rewards, byReward, own), counts: own })
  }

  scores(counts?: ArrayLike<number>): Scores {
    const sums = { right: 0, all: 0, equalRight: 0, equal: 0, margin: 0 }
    for (const { unit, margin, isEqual } of this.#decisions) {
      const count = counts === undefined ? 1 : counts[unit]
      const right = count * rightness(margin)
      sums.all += count
      sums.right += right
      sums.margin += count * margin
      if (!isEqual) continue
      sums.equal += count
      sums.equalRight += right
    }
    const own = counts === undefined ? undefined : Float64Array.from(this.#decisions, ({ unit }) => counts[unit])
    return {
      accuracy: sums.right / sums.all,
      equalLengthAccuracy: sums.equalRight / sums.equal,
      rewardMargin: sums.margin / sums.all,
      lengthCorrelation: this.#lengthCorrelation(counts),
      ...(this.#calibrated ? { calibrationError: this.#calibration.error(own) } : {}),
    }
  }

  details(): { [name: string]: unknown } {
    const isEqual = this.#decisions.filter((decision) => decision.isEqual).length
    const bins = this.#calibration.bins().filter(({ units }: CalibrationBin) => units > 0)
    return {
      decisions: this.#decisions.length,
      ties: this.#decisions.filter(({ margin }) => margin === 0).length,
      equalLength: isEqual,
      ...(this.#calibrated ? { calibration: bins } : {}),
      ...this.#byCategory(),
    }
  }

  /** Accuracy with its interval in each category. */
  #byCategory(): { categories?: { [category: string]: object } } {
    const names = [...new Set(this.#categories.filter((name) => name !== undefined))].sort()
    if (names.length === 0) return {}
    return {
      categories: Object.fromEntries(
        names.map((name) => {
          const units = this.#categories.flatMap((own, unit) => (own === name ? [unit] : []))
          const place = new Map(units.map((unit, i) => [unit, i]))
          const right = new Float64Array(units.length)
          const all = new Float64Array(units.length)
          for (const { unit, margin } of this.#decisions) {
            const i = place.get(unit)
            if (i === undefined) continue
            all[i]++
            right[i] += rightness(margin)
          }
          return [
            name,
            { accuracy: bootstrapRatio(right, all, { seed: name }), decisions: all.reduce((a, b) => a + b, 0) },
          ]
        }),
      ),
    }
  }
}
