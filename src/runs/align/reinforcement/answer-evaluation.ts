// Answers to validation prompts, scored by the rewards, by a judge that is not trained on, and by their divergence from the reference. The same
// prompts and random numbers in every evaluation. Several processes share sampling and scoring; the answers to one prompt stay on one process.
import {
  type AnswerJudge,
  type AnswerSampler,
  answerText,
  completionOf,
  isFinished,
  type Reference,
  type RolloutPrompt,
  type ScoreCompletionsOptions,
} from '../../../alignment/index.ts'
import { createRandom } from '../../../core/index.ts'
import { type ProcessGroup, shareBlocks, shareItems } from '../../../distributed/index.ts'
import type { ScoredUnits, TaskPrediction, TaskRecord } from '../../../tasks/index.ts'

/** A line of predictions.jsonl: an answer with its scores. */
export interface AnswerPrediction extends TaskPrediction {
  answer: string
  /** Weighted sum of the rewards; null where no reward applies. */
  reward: number | null
  rewards: { [name: string]: number | null }
  /** Score of the judge; left out without one. */
  judge?: number | null
  /** KL divergence from the reference, estimated by this answer, in nats; left out without a reference. */
  kl?: number
  /** Log-probability of the tokens that the policy chose, in nats, and their number. */
  logProb: number
  chosenTokens: number
  tokens: number
  finished: boolean
  /** Turns of the model with an environment; left out without one. */
  turns?: number
}

export interface AnswerEvaluation {
  prompts: readonly RolloutPrompt[]
  seed: number
  sample: AnswerSampler
  rewards: AnswerJudge
  judge?: AnswerJudge
  reference?: Reference
  how: ScoreCompletionsOptions
  decode(ids: ArrayLike<number>): string
}

/** One sampled answer to each prompt, with its scores. */
export const evaluateAnswers = async ({
  prompts,
  seed,
  sample,
  rewards,
  judge,
  reference,
  how,
  decode,
}: AnswerEvaluation): Promise<AnswerPrediction[]> => {
  const random = createRandom(`${seed}/validation`)
  const requests = prompts.map((prompt) => ({ prompt, seed: random.integer(2 ** 47) }))
  const sampled = (await sample(requests, 1, {})).map(([answer]) => answer)
  const asked = sampled.map((answer, i) => ({ prompt: prompts[i], answer, text: answerText(answer, decode) }))
  const scores = await rewards.score(asked, {})
  const judged = await judge?.score(asked, {})
  const references = await reference?.logProbs(
    sampled.map((answer, i) => completionOf(prompts[i], answer)),
    how,
  )
  return sampled.map((answer, i): AnswerPrediction => {
    const { ids, mask, logProbs, episode } = answer
    const own = references?.[i]
    const sumOf = (value: (token: number) => number) =>
      mask.reduce((sum, chosen, t) => (chosen === 0 ? sum : sum + value(t)), 0)
    return {
      id: prompts[i].record.id,
      answer: asked[i].text.trim(),
      reward: scores[i].reward,
      rewards: Object.fromEntries(rewards.names.map((name, f) => [name, scores[i].rewards[f]])),
      ...(judged === undefined ? {} : { judge: judged[i].reward }),
      ...(own === undefined ? {} : { kl: sumOf((t) => logProbs[t] - own[t]) }),
      logProb: sumOf((t) => logProbs[t]),
      chosenTokens: sumOf(() => 1),
      tokens: ids.length,
      finished: isFinished(answer),
      ...(episode === undefined ? {} : { turns: episode.turns }),
    }
  })
}

const meanOf = (values: readonly (number | null | undefined)[], counts?: ArrayLike<number>): number => {
  let [sum, count] = [0, 0]
  for (const [i, value] of values.entries()) {
    const times = counts?.[i] ?? 1
    if (times === 0 || value === null || value === undefined) continue
    sum += times * value
    count += times
  }
  return count === 0 ? Number.NaN : sum / count
}

/** Entropy of the policy and its divergence from the reference per token, and perplexity of its answers under the reference, estimated by them. */
const tokenScores = (predictions: readonly AnswerPrediction[], counts?: ArrayLike<number>): Record<string, number> => {
  const sums = { logProb: 0, reference: 0, tokens: 0 }
  for (const [i, { logProb, kl = Number.NaN, chosenTokens }] of predictions.entries()) {
    const times = counts?.[i] ?? 1
    if (times === 0) continue
    sums.logProb += times * logProb
    sums.reference += times * (logProb - kl)
    sums.tokens += times * chosenTokens
  }
  const scores = {
    entropy: -sums.logProb / sums.tokens,
    klPerToken: (sums.logProb - sums.reference) / sums.tokens,
    referencePerplexity: Math.exp(-sums.reference / sums.tokens),
  }
  return Object.fromEntries(Object.entries(scores).filter(([, score]) => Number.isFinite(score)))
}

/** Means over the answers, whose units are prompts. */
export const scoreAnswers = (records: readonly TaskRecord[], predictions: readonly AnswerPrediction[]): ScoredUnits => {
  const names = Object.keys(predictions[0]?.rewards ?? {})
  const columns: Record<string, (number | null | undefined)[]> = {
    reward: predictions.map(({ reward }) => reward),
    ...(names.length < 2
      ? {}
      : Object.fromEntries(names.map((name) => [`reward.${name}`, predictions.map(({ rewards }) => rewards[name])]))),
    judge: predictions.map(({ judge }) => judge),
    kl: predictions.map(({ kl }) => kl),
    completionTokens: predictions.map(({ tokens }) => tokens),
    finished: predictions.map(({ finished }) => (finished ? 1 : 0)),
    turns: predictions.map(({ turns }) => turns),
  }
  const kept = Object.entries(columns).filter(([, values]) => values.some((one) => one !== null && one !== undefined))
  return {
    units: records.length,
    scores: (counts) => ({
      ...Object.fromEntries(kept.map(([name, values]) => [name, meanOf(values, counts)])),
      ...tokenScores(predictions, counts),
    }),
    details: () => ({}),
  }
}

/** Mean of the judge's scores with its standard error; undefined without a judge. */
export const judgeMean = (predictions: readonly AnswerPrediction[]): { mean: number; error: number } | undefined => {
  const scores = predictions.flatMap(({ judge }) => (judge === null || judge === undefined ? [] : [judge]))
  if (scores.length < 2) return undefined
  const mean = meanOf(scores)
  const variance = scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / (scores.length - 1)
  return { mean, error: Math.sqrt(variance / scores.length) }
}

/** The process that answers the prompt with a number. */
const ownerOf = ({ size }: ProcessGroup, number: number): number => number % size

/** A sampler that divides prompts among processes. */
export const shareSampler =
  (group: ProcessGroup, sample: AnswerSampler): AnswerSampler =>
  (requests, answers, context) =>
    shareItems(group, requests, (own) => sample(own, answers, context))

/** A judge that scores each answer on one process: a reward function that is not deterministic gives all the same reward. */
export const shareJudge = (group: ProcessGroup, judge: AnswerJudge): AnswerJudge => ({
  names: judge.names,
  weights: judge.weights,
  async score(answers, context) {
    let number = -1
    const owners = answers.map(({ prompt }, i) => {
      if (i === 0 || prompt !== answers[i - 1].prompt) number++
      return ownerOf(group, number)
    })
    const own = answers.filter((_, i) => owners[i] === group.rank)
    const all = await group.gather(own.length === 0 ? [] : await judge.score(own, context))
    const next = new Array<number>(group.size).fill(0)
    return owners.map((owner) => all[owner][next[owner]++])
  },
})

/** An evaluation of which each process samples and scores the answers to some prompts; all get all of them. */
export const shareEvaluation = (group: ProcessGroup, evaluation: AnswerEvaluation): AnswerEvaluation => {
  const { sample, rewards, judge, how } = evaluation
  return {
    ...evaluation,
    sample: shareSampler(group, sample),
    rewards: shareJudge(group, rewards),
    ...(judge === undefined ? {} : { judge: shareJudge(group, judge) }),
    how: { ...how, share: (...given) => shareBlocks(group, ...given) },
  }
}
