// The answers to one prompt as a group: which of them count in a baseline, and whether their scores differ.
import type { ScoredAnswer } from './advantage.ts'

/** Indices of the answers of each group, in the order of their first answers. */
export const groupsOf = (answers: readonly Pick<ScoredAnswer, 'group'>[]): number[][] => {
  const groups = new Map<number, number[]>()
  for (const [i, { group }] of answers.entries()) {
    const known = groups.get(group)
    if (known === undefined) groups.set(group, [i])
    else known.push(i)
  }
  return [...groups.values()]
}

/** Whether an answer counts in baselines: it has a score and is trained on. */
export const countsInBaseline = ({ score, excluded }: Pick<ScoredAnswer, 'score' | 'excluded'>): boolean =>
  score !== null && excluded !== true

/** The score with the rewards of the trained tokens, such as the KL penalty. */
const totalOf = (score: number, { tokenRewards, mask }: ScoredAnswer): number => {
  let sum = score
  if (tokenRewards !== undefined) for (let t = 0; t < mask.length; t++) if (mask[t] !== 0) sum += tokenRewards[t]
  return sum
}

/** Indices and total scores of those of the answers that count in baselines. */
export const countedScores = (
  answers: readonly ScoredAnswer[],
  indices: Iterable<number>,
): { index: number; score: number }[] => {
  const counted: { index: number; score: number }[] = []
  for (const index of indices) {
    const answer = answers[index]
    if (answer.score !== null && countsInBaseline(answer)) counted.push({ index, score: totalOf(answer.score, answer) })
  }
  return counted
}

/** Mean and standard deviation with Bessel's correction; 0 for the latter of fewer than two values. */
export const momentsOf = (values: readonly number[]): { mean: number; deviation: number } => {
  const mean = values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
  if (values.length < 2) return { mean, deviation: 0 }
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return { mean, deviation: Math.sqrt(squares / (values.length - 1)) }
}

/** Whether all values are the same number. A standard deviation would not tell: rounding makes it differ from 0. */
export const allEqual = (values: readonly number[]): boolean => values.every((value) => value === values[0])

/** How the scores of groups vary. */
export interface GroupFacts {
  groups: number
  /** Groups whose scores are all equal, or of which fewer than two answers count: they teach nothing. */
  withoutVariance: number[]
  /** Answers without a score. */
  unscored: number
}

/** Finds the groups that teach nothing, to report or to replace them (DAPO's dynamic sampling). */
export const groupFacts = (answers: readonly ScoredAnswer[]): GroupFacts => {
  const groups = groupsOf(answers)
  const flat = groups.filter((indices) => {
    const scores = indices.flatMap((i) => (countsInBaseline(answers[i]) ? [answers[i].score] : []))
    return scores.length < 2 || scores.every((score) => score === scores[0])
  })
  return {
    groups: groups.length,
    withoutVariance: flat.map(([first]) => answers[first].group),
    unscored: answers.filter(({ score }) => score === null).length,
  }
}

/** One number for each answer, at each of its trained tokens. */
export const overTokens = (answers: readonly ScoredAnswer[], values: ArrayLike<number>): Float32Array[] =>
  answers.map(({ mask }, i) => Float32Array.from(mask, (trained) => (trained === 0 ? 0 : values[i])))

/** The masks of the answers, all 0 for those that do not count. */
export const countedMasks = (answers: readonly ScoredAnswer[]): Uint8Array[] =>
  answers.map((answer) => (countsInBaseline(answer) ? answer.mask : new Uint8Array(answer.mask.length)))
