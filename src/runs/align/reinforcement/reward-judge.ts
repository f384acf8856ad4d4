// The rewards of a run: opened from names, settings and functions, and as the judge of rollouts.
import type { AppliedAdapter } from '../../../adapters/index.ts'
import {
  type AnswerJudge,
  closeRewards,
  openRewardCache,
  openRewards,
  type RewardFunction,
  type RewardInput,
  type RewardSample,
  type RolloutPrompt,
  type SampledAnswer,
  scoreSamples,
} from '../../../alignment/index.ts'
import { ConfigError } from '../../../core/index.ts'
import type { Tokenizer } from '../../../tokenizers/index.ts'

/** A function of a recipe in run.json: its name alone. */
interface NamedFunction {
  type: 'function'
  name: string
}

const isNamed = (input: unknown): input is NamedFunction => (input as Partial<NamedFunction>)?.type === 'function'

/** Functions of recipes that this process has started, by the folder of the run and their name. */
const functions = new Map<string, RewardInput>()
const keyOf = (out: string, name: string) => `${out}\0${name}`

/** Replaces functions by their names, since run.json is JSON; `openRunRewards` finds them again in this process. */
export const nameFunctions = (inputs: readonly unknown[], out: string): unknown[] =>
  inputs.map((input, i) => {
    const isFunction = typeof input === 'function'
    const scores = typeof input === 'object' && input !== null && 'score' in input && typeof input.score === 'function'
    if (!isFunction && !scores) return input
    const { name } = input as { name: string }
    const own = name === '' ? `reward-${i + 1}` : name
    functions.set(keyOf(out, own), input as unknown as RewardInput)
    return { type: 'function', name: own } satisfies NamedFunction
  })

const inputOf = (input: unknown, out: string): RewardInput => {
  if (!isNamed(input)) return input as RewardInput
  const found = functions.get(keyOf(out, input.name))
  if (found !== undefined) return found
  throw new ConfigError(
    `The reward \`${input.name}\` is a function of the recipe, which a resumed run does not have: register it with \`registerReward\` in a module that the recipe names in \`use\`, and name it in \`rewards\`.`,
  )
}

/** Opens the rewards of a recipe. @throws ConfigError for unknown names or settings */
export const openRunRewards = async (
  inputs: readonly unknown[],
  { out, device }: { out: string; device: string },
  tokenizer: Tokenizer,
  applied: AppliedAdapter,
  base: string,
  onNote: (line: string) => void,
): Promise<RewardFunction[]> =>
  openRewards(
    inputs.map((input) => inputOf(input, out)),
    // A reward model that is an adapter on the same frozen base shares it.
    { tokenizer, device, onNote, ...(applied.inPlace ? {} : { base: { model: applied.model, folder: base } }) },
  )

/** An answer as reward functions see it. */
export const sampleOf = (
  { ids: promptIds, record }: RolloutPrompt,
  answer: SampledAnswer,
  text: string,
): RewardSample => ({
  prompt: record.prompt,
  completion: text,
  promptIds,
  completionIds: answer.ids,
  record,
  finishReason: answer.finishReason,
})

/** Rewards as the judge of rollouts. */
export const rewardJudge = async (
  rewards: readonly RewardFunction[],
): Promise<AnswerJudge & { close(): Promise<void> }> => {
  const cache = await openRewardCache()
  return {
    names: rewards.map(({ name }) => name),
    async score(answers, { signal }) {
      const samples = answers.map(({ prompt, answer, text }) => sampleOf(prompt, answer, text))
      return (await scoreSamples(rewards, samples, { cache, signal })).scores
    },
    close: () => closeRewards(rewards),
  }
}
