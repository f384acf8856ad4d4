// Rollouts of a plan, which computes no values: answers of the greatest length, and rewards that differ as rewards do. What takes memory
// and arithmetic is done as in the run: the steps of the generation engine, and the passes of reward models.
import {
  type AnswerJudge,
  type AnswerSampler,
  type RewardFunction,
  type RolloutPrompt,
  scoreSamples,
} from '../../../alignment/index.ts'
import { createRandom } from '../../../core/index.ts'
import { sampleOf } from './reward-judge.ts'

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
