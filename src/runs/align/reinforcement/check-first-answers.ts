// Equalities that hold before the first step of a run that learns from rewards: sampling and training give the same probabilities, the policy
// is its own reference, and rewards depend on the answer alone.
import type { AppliedAdapter } from '../../../adapters/index.ts'
import {
  type AnswerEpisode,
  answerText,
  checkRewards,
  completionOf,
  type RewardFunction,
  scoreCompletions,
} from '../../../alignment/index.ts'
import { ConfigError } from '../../../core/index.ts'
import { checkReference } from '../reference-model.ts'
import type { AnswerEvaluation } from './answer-evaluation.ts'
import { sampleOf } from './reward-judge.ts'

/** What answers are checked with. */
interface FirstAnswers extends Omit<AnswerEvaluation, 'rewards' | 'judge'> {
  applied: Pick<AppliedAdapter, 'model' | 'virtualTokens'>
  rewards: readonly RewardFunction[]
}

/** Largest difference between the probabilities of sampling and of training that rounding explains. */
const tolerance = { float32: 1e-3, other: 0.5 }

/** Over the tokens that the policy wrote. */
const largestDifference = (
  sampled: readonly { mask: Uint8Array; logProbs: Float32Array }[],
  trained: readonly Float32Array[],
): number => {
  let largest = 0
  for (const [i, { mask, logProbs }] of sampled.entries())
    for (const [t, bit] of mask.entries())
      if (bit !== 0) largest = Math.max(largest, Math.abs(logProbs[t] - trained[i][t]))
  return largest
}

/** Checks answers to the first prompts. @returns lines for people @throws ConfigError for an equality that does not hold */
export const checkFirstAnswers = async ({
  applied,
  prompts,
  sample,
  rewards,
  reference,
  how,
  decode,
  seed,
}: FirstAnswers): Promise<string[]> => {
  const { model } = applied
  const first = prompts.slice(0, 2)
  const sampled = await sample(
    first.map((prompt, i) => ({ prompt, seed: seed + i })),
    2,
    {},
  )
  const all = sampled.flatMap((group, i) => group.map((answer) => ({ prompt: first[i], answer })))
  const completions = all.map(({ prompt, answer }) => completionOf(prompt, answer))
  const trained = (await scoreCompletions(model, completions, how)).map(({ logProbs }) => logProbs)
  const recorded = all.map(({ answer }) => answer)
  const difference = largestDifference(recorded, trained)
  const isExact = [...model.parameters().values()].every(({ dtype }) => dtype === 'float32')
  if (!(difference <= (isExact ? tolerance.float32 : tolerance.other)))
    throw new ConfigError(
      `Expected the same log-probabilities from sampling and training before the first step, got a difference of ${Number(difference.toPrecision(2))} nats. Set \`precision\` to float32, or report this as a fault of Tunesmith.`,
    )
  const tokens = recorded.reduce((sum, { mask }) => sum + mask.reduce((count, bit) => count + bit, 0), 0)
  const lines = [
    `Sampling and training agree on ${tokens} tokens before the first step: largest difference ${Number(difference.toPrecision(2))} nats.`,
  ]
  if (reference !== undefined)
    lines.push(...(await checkReference(applied, reference, completions, { ...how, exact: isExact })))
  const samples = all.map(({ prompt, answer }) => sampleOf(prompt, answer, answerText(answer, decode)))
  for (const { name, constant } of await checkRewards(rewards, samples))
    if (constant)
      lines.push(
        `The reward ${name} is the same for the first ${samples.length} answers: nothing can be learned from it if that stays so.`,
      )
  lines.push(...episodeLines(recorded.flatMap(({ episode }) => episode ?? [])))
  return lines
}

/** What the first episodes say about their limits. */
const episodeLines = (episodes: readonly AnswerEpisode[]): string[] => {
  const cut = episodes.filter(({ end }) => end !== 'done')
  if (episodes.length === 0) return []
  const turns = episodes.reduce((sum, one) => sum + one.turns, 0) / episodes.length
  const first = `The first ${episodes.length} answers have ${Number(turns.toPrecision(2))} turns of the model on average`
  if (cut.length === 0) return [`${first}, and the environment ended all of them.`]
  const reasons = [...new Set(cut.map(({ end }) => end))].map(
    (reason) => `${reason} (${cut.filter(({ end }) => end === reason).length})`,
  )
  return [`${first}; ${cut.length} were not ended by the environment: ${reasons.join(', ')}. See \`episode\`.`]
}
