// The rewards of a run: opened from names, settings and functions, and as the judge of rollouts, real or planned.
import type { AppliedAdapter } from '../../../adapters/index.ts'
import {
  type AnswerJudge,
  type AnswerSampler,
  closeRewards,
  openRewardCache,
  openRewards,
  promptIdsOf,
  type RewardContext,
  type RewardFunction,
  type RewardInput,
  type RewardSample,
  type RolloutPrompt,
  type SampledAnswer,
  scoreSamples,
} from '../../../alignment/index.ts'
import { createRandom } from '../../../core/index.ts'
import { isFeatureModel, loadFeatureModel } from '../../../features/index.ts'
import type { Tokenizer } from '../../../tokenizers/index.ts'
import { functionOf } from '../../engine/recipe-functions.ts'

/** A feature-based specialist, as fine-tuning makes them, scores as any other model does. */
export const openFolder: NonNullable<RewardContext['openFolder']> = async (folder, options) =>
  (await isFeatureModel(folder)) ? loadFeatureModel(folder, options) : undefined

/** Opens the rewards of a recipe. @throws ConfigError for unknown names or settings */
export const openRunRewards = async (
  key: 'rewards' | 'judge',
  inputs: readonly unknown[],
  { out, device }: { out: string; device: string },
  tokenizer: Tokenizer,
  applied: AppliedAdapter,
  base: string,
  onNote: (line: string) => void,
): Promise<RewardFunction[]> =>
  openRewards(
    inputs.map((input) => functionOf(input, key, out) as RewardInput),
    // A reward model that is an adapter on the same frozen base shares it.
    {
      tokenizer,
      device,
      onNote,
      openFolder,
      ...(applied.inPlace ? {} : { base: { model: applied.model, folder: base } }),
    },
  )

/** An answer as reward functions see it. */
export const sampleOf = (prompt: RolloutPrompt, answer: SampledAnswer, text: string): RewardSample => {
  const { record } = prompt
  const { ids, finishReason, episode } = answer
  return {
    prompt: episode?.prompt ?? record.prompt,
    completion: text,
    promptIds: promptIdsOf(prompt, answer),
    completionIds: ids,
    record,
    finishReason,
    ...(episode === undefined
      ? {}
      : { episode: { messages: episode.messages, reward: episode.reward, failed: episode.end === 'failed' } }),
  }
}

export const rewardJudge = async (
  rewards: readonly RewardFunction[],
): Promise<AnswerJudge & { close(): Promise<void> }> => {
  const cache = await openRewardCache()
  return {
    names: rewards.map(({ name }) => name),
    weights: rewards.map(({ weight }) => weight),
    async score(answers, { signal }) {
      const samples = answers.map(({ prompt, answer, text }) => sampleOf(prompt, answer, text))
      return (await scoreSamples(rewards, samples, { cache, signal })).scores
    },
    close: () => closeRewards(rewards),
  }
}

/** Tokens of prompts that stand for those of answers: text, so that a reward model reads about as many tokens. */
const poolTokens = 1 << 16

const poolOf = (prompts: readonly RolloutPrompt[]): number[] => {
  const pool: number[] = []
  for (const { ids } of prompts) {
    if (pool.length >= poolTokens) break
    for (const id of ids) pool.push(id)
  }
  return pool
}

/** A sampler whose answers have the most tokens that they may have. No two of a rollout are equal, since equal ones are scored once. */
export const plannedSampler = (sample: AnswerSampler, prompts: readonly RolloutPrompt[]): AnswerSampler => {
  const pool = poolOf(prompts)
  return async (requests, answers, context) => {
    const endless = requests.map(({ prompt, seed }) => ({ prompt: { ...prompt, endTokens: [] }, seed }))
    const sampled = await sample(endless, answers, context)
    let made = 0
    return sampled.map((group) =>
      group.map((answer) => {
        const from = made++
        const ids = answer.ids.map((_, i) => pool[(from + i) % pool.length])
        return { ...answer, ids, finishReason: 'eos' }
      }),
    )
  }
}

/** A judge that draws rewards. Reward models compute theirs too; functions, programs and addresses are not called. */
export const plannedJudge = (rewards: readonly RewardFunction[], judge: AnswerJudge, seed: number): AnswerJudge => {
  const random = createRandom(`${seed}/planned-rewards`)
  const models = rewards.filter(({ usesModel }) => usesModel === true)
  return {
    names: judge.names,
    weights: judge.weights,
    async score(answers, { signal }) {
      const samples = answers.map(({ prompt, answer, text }) => sampleOf(prompt, answer, text))
      if (models.length > 0) await scoreSamples(models, samples, { signal })
      return answers.map(() => {
        const reward = random.normal()
        return { rewards: rewards.map(() => reward), reward }
      })
    },
  }
}
