// Choosing among several answers to one prompt: best-of-n, rejection sampling (RAFT), statistical rejection sampling, pairs
// for online DPO; and estimates without bias of what choosing gives. Plain numbers.
import { ConfigError, type Random } from '../../core/index.ts'
import { groupsOf } from './advantages/groups.ts'

/** An answer to choose from. */
export interface Candidate {
  /** Answers with the same number were sampled for the same prompt. */
  group: number
  /** null where the answer could not be scored: it is never chosen. */
  score: number | null
  /** Equal answers have equal keys, such as the normalised text; answers without a key are all different. */
  key?: string
}

/** What RAFT keeps of each group. */
export interface RaftOptions {
  /** Most answers of a prompt, the best first (default: 1). */
  keep?: number
  /** Only answers with at least this score, such as 1 for correct ones. */
  minScore?: number
}

/** Indices of the scored answers of a group, the best first; of equal ones the first. */
const ranked = (candidates: readonly Candidate[], indices: readonly number[]): number[] =>
  indices
    .filter((i) => candidates[i].score !== null)
    .sort((a, b) => (candidates[b].score ?? 0) - (candidates[a].score ?? 0) || a - b)

/** Index of the best answer to each prompt, in the order of the prompts; a prompt without a scored answer has none. */
export const bestOfN = (candidates: readonly Candidate[]): number[] =>
  groupsOf(candidates).flatMap((indices) => ranked(candidates, indices).slice(0, 1))

/**
 * Indices of the answers to fine-tune on: the best of each prompt, each key once.
 * @source RAFT, arXiv:2304.06767; rejection sampling fine-tuning, arXiv:2308.01825
 */
export const raftSelection = (
  candidates: readonly Candidate[],
  { keep = 1, minScore = Number.NEGATIVE_INFINITY }: RaftOptions = {},
): number[] =>
  groupsOf(candidates).flatMap((indices) => {
    const keys = new Set<string>()
    const distinct = ranked(candidates, indices).filter((i) => {
      const { key, score } = candidates[i]
      if ((score ?? minScore) < minScore || (key !== undefined && keys.has(key))) return false
      if (key !== undefined) keys.add(key)
      return true
    })
    return distinct.slice(0, keep)
  })

/**
 * Indices of answers sampled from the policy that is optimal for the scores and the KL coefficient `beta`: each one is
 * accepted with the probability `exp((score − best score) / beta)`, until there are `count`, or all are accepted.
 * @param indices answers to one prompt
 * @source RSO, arXiv:2309.06657
 */
export const rejectionSample = (
  candidates: readonly Pick<Candidate, 'score'>[],
  indices: readonly number[],
  { count, beta, random }: { count: number; beta: number; random: Random },
): number[] => {
  if (!(beta > 0)) throw new ConfigError(`Expected a number of more than 0 for \`beta\`, got ${beta}.`)
  const left = indices.filter((i) => candidates[i].score !== null)
  const accepted: number[] = []
  while (left.length > 0 && accepted.length < count) {
    const best = left.reduce((most, i) => Math.max(most, candidates[i].score ?? most), Number.NEGATIVE_INFINITY)
    for (let k = 0; k < left.length && accepted.length < count; ) {
      const score = candidates[left[k]].score ?? best
      if (random.float() < Math.exp((score - best) / beta)) accepted.push(...left.splice(k, 1))
      else k++
    }
  }
  return accepted
}

/**
 * The best and the worst answer to each prompt, for DPO on the model's own answers. Prompts whose scored answers are all
 * equally good, or fewer than two, have no pair.
 * @source arXiv:2402.04792
 */
export const bestAndWorst = (candidates: readonly Candidate[]): { chosen: number; rejected: number }[] =>
  groupsOf(candidates).flatMap((indices) => {
    const order = ranked(candidates, indices)
    const [chosen, rejected] = [order[0], order.at(-1)]
    if (chosen === undefined || rejected === undefined) return []
    return candidates[chosen].score === candidates[rejected].score ? [] : [{ chosen, rejected }]
  })

const expectCount = (k: number, n: number): void => {
  if (!(Number.isInteger(k) && k >= 1 && k <= n))
    throw new ConfigError(`Expected a whole number from 1 to ${n}, the number of answers, for \`k\`, got ${k}.`)
}

/**
 * Expected score of the best of k answers, estimated without bias from n ≥ k answers: the mean over all subsets of size k.
 * @throws ConfigError for k outside 1 to n
 */
export const expectedBestOf = (scores: readonly number[], k: number): number => {
  const n = scores.length
  expectCount(k, n)
  const ascending = [...scores].sort((a, b) => a - b)
  // The i-th smallest is the best of C(i−1, k−1) of the C(n, k) subsets.
  let share = k / n
  let sum = 0
  for (let i = n; i >= k; i--) {
    sum += share * ascending[i - 1]
    share *= (i - k) / Math.max(1, i - 1)
  }
  return sum
}

/**
 * Probability that at least one of k answers is correct, estimated without bias from `total` answers.
 * @source Chen et al. 2021, arXiv:2107.03374
 * @throws ConfigError for k outside 1 to `total`
 */
export const passAtK = (correct: number, total: number, k: number): number => {
  expectCount(k, total)
  let failing = 1
  for (let i = total - correct + 1; i <= total; i++) failing *= Math.max(0, 1 - k / i)
  return 1 - failing
}

/**
 * Upper bound of the KL divergence in nats of best-of-n from the model that it samples from: `ln n − (n − 1) / n`.
 * @source Stiennon et al. 2020, arXiv:2009.01325; the proof that it is a bound, arXiv:2401.01879
 */
export const bestOfNKl = (n: number): number => {
  if (!(Number.isInteger(n) && n >= 1))
    throw new ConfigError(`Expected a whole number of at least 1 for \`n\`, got ${n}.`)
  return Math.log(n) - (n - 1) / n
}
