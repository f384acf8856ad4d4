// The registry of reinforcement learning algorithms: an advantage estimator, a policy loss and the other settings with
// which it was published, under its name. A recipe may change each of them.
import { type Definition, Registry } from '../../core/index.ts'
import { type AdvantageInput, advantageDefinition, advantageSchema } from './advantages/index.ts'
import type { PolicyLossInput } from './policy-losses/index.ts'

/** What the gradient of an algorithm is in expectation, at the first update on sampled answers and without KL. */
export type GradientExpectation = 'unbiased' | 'proportional' | 'biased'

/** An algorithm. */
export interface AlgorithmDefinition<Type extends string = string> extends Definition {
  /** Name in recipes and flags. */
  type: Type
  /** Publication. */
  source: string
  /** One sentence for help. */
  summary: string
  advantages: AdvantageInput
  loss: PolicyLossInput
  /** Where the KL divergence from the reference counts by default; not at all without this. */
  kl?: { in: 'reward' | 'loss'; coefficient: number; estimator: 'k1' | 'k2' | 'k3' }
  /** Answers sampled for each prompt. */
  answersPerPrompt: number
  /** Passes over the sampled answers before the next ones are sampled. */
  epochs: number
  /** Answers without an end token are neither trained on nor counted in baselines. */
  maskTruncated?: boolean
  /** Groups whose scores are all equal are replaced by others. */
  dynamicSampling?: boolean
  /** Whether its gradient is the policy gradient, points in its direction, or neither. */
  expectation: GradientExpectation
}

/** Defines an algorithm; `registerAlgorithm` makes it available to recipes and flags. */
export const defineAlgorithm = <const Type extends string>(
  definition: AlgorithmDefinition<Type>,
): AlgorithmDefinition<Type> => definition

/** GRPO and its relatives. */
const groupRelative = {
  advantages: { type: 'group-relative' },
  answersPerPrompt: 8,
  epochs: 1,
  expectation: 'biased',
} as const

const registry = new Registry<AlgorithmDefinition>('a reinforcement learning algorithm')

/** Every algorithm by its `type`, those that packages registered included. */
export const algorithms = registry.builtIn([
  defineAlgorithm({
    type: 'ppo',
    source: 'arXiv:1707.06347, arXiv:1909.08593',
    summary: 'proximal policy optimisation with a critic and the KL divergence in the reward',
    advantages: { type: 'gae' },
    loss: { type: 'ppo' },
    kl: { in: 'reward', coefficient: 0.05, estimator: 'k1' },
    answersPerPrompt: 1,
    epochs: 4,
    expectation: 'biased',
  }),
  defineAlgorithm({
    type: 'grpo',
    source: 'arXiv:2402.03300',
    summary: 'group-relative policy optimisation',
    ...groupRelative,
    loss: { type: 'grpo' },
  }),
  defineAlgorithm({
    type: 'dr-grpo',
    source: 'arXiv:2503.20783',
    summary: 'GRPO without division by the deviation and by the length of each answer',
    ...groupRelative,
    advantages: { type: 'group-relative', scale: 'none' },
    loss: { type: 'dr-grpo' },
    expectation: 'proportional',
  }),
  defineAlgorithm({
    type: 'dapo',
    source: 'arXiv:2503.14476',
    summary: 'GRPO with a higher upper clip, mean over tokens, dynamic sampling and masked truncated answers',
    ...groupRelative,
    loss: { type: 'dapo' },
    answersPerPrompt: 16,
    maskTruncated: true,
    dynamicSampling: true,
  }),
  defineAlgorithm({
    type: 'gspo',
    source: 'arXiv:2507.18071',
    summary: 'GRPO with ratios of whole answers',
    ...groupRelative,
    loss: { type: 'gspo' },
  }),
  defineAlgorithm({
    type: 'gspo-token',
    source: 'arXiv:2507.18071',
    summary: 'GSPO with a gradient for each token',
    ...groupRelative,
    loss: { type: 'gspo-token' },
  }),
  defineAlgorithm({
    type: 'cispo',
    source: 'arXiv:2506.13585',
    summary: 'clipped ratios as weights, so that no token loses its gradient',
    ...groupRelative,
    loss: { type: 'cispo' },
  }),
  defineAlgorithm({
    type: 'sapo',
    source: 'arXiv:2511.20347',
    summary: 'a smooth gate in place of clipping',
    ...groupRelative,
    loss: { type: 'sapo' },
  }),
  defineAlgorithm({
    type: 'gmpo',
    source: 'arXiv:2507.20673',
    summary: 'geometric mean of the ratios of an answer',
    ...groupRelative,
    loss: { type: 'gmpo' },
  }),
  defineAlgorithm({
    type: 'gdpo',
    source: 'arXiv:2601.05242',
    summary: 'GRPO for several reward functions, each normalised on its own',
    ...groupRelative,
    advantages: { type: 'gdpo' },
    loss: { type: 'grpo' },
  }),
  defineAlgorithm({
    type: 'rloo',
    source: 'arXiv:2402.14740',
    summary: 'REINFORCE with the mean score of the other answers as baseline, and the KL divergence in the reward',
    advantages: { type: 'rloo' },
    loss: { type: 'rloo' },
    kl: { in: 'reward', coefficient: 0.05, estimator: 'k1' },
    answersPerPrompt: 4,
    epochs: 1,
    expectation: 'unbiased',
  }),
  defineAlgorithm({
    type: 'reinforce-plus-plus',
    source: 'arXiv:2501.03262',
    summary: "REINFORCE with PPO's clipping, normalised over the batch",
    advantages: { type: 'reinforce-plus-plus' },
    loss: { type: 'ppo' },
    kl: { in: 'reward', coefficient: 0.01, estimator: 'k1' },
    answersPerPrompt: 1,
    epochs: 1,
    expectation: 'biased',
  }),
  defineAlgorithm({
    type: 'reinforce-plus-plus-baseline',
    source: 'arXiv:2501.03262',
    summary: 'REINFORCE++ with the mean score of the group as baseline',
    advantages: { type: 'reinforce-plus-plus', baseline: 'group' },
    loss: { type: 'ppo' },
    kl: { in: 'loss', coefficient: 0.01, estimator: 'k2' },
    answersPerPrompt: 8,
    epochs: 1,
    expectation: 'biased',
  }),
  defineAlgorithm({
    type: 'remax',
    source: 'arXiv:2310.10505',
    summary: 'REINFORCE with the score of the greedy answer as baseline',
    advantages: { type: 'remax' },
    loss: { type: 'reinforce' },
    kl: { in: 'reward', coefficient: 0.05, estimator: 'k1' },
    answersPerPrompt: 1,
    epochs: 1,
    expectation: 'unbiased',
  }),
  defineAlgorithm({
    type: 'reinforce',
    source: 'Williams 1992',
    summary: 'the plain policy gradient with the mean score of the other answers of the batch as baseline',
    advantages: { type: 'reinforce', baseline: 'batch' },
    loss: { type: 'reinforce' },
    answersPerPrompt: 1,
    epochs: 1,
    expectation: 'unbiased',
  }),
])
/** Names of the built-in algorithms. */
export type AlgorithmType = keyof typeof algorithms

/** Names of all algorithms, those that packages registered included. */
export const algorithmTypes = (): string[] => registry.types

/** The algorithm of a name, if there is one. */
export const findAlgorithm = (type: string): AlgorithmDefinition | undefined => registry.find(type)

/** Adds an algorithm to recipes and flags. @throws ConfigError for a `type` that is taken */
export const registerAlgorithm = (definition: AlgorithmDefinition): void => registry.register(definition)

/** Whether an algorithm trains a critic. */
export const needsCritic = ({ advantages }: Pick<AlgorithmDefinition, 'advantages'>): boolean =>
  advantageDefinition(advantageSchema.parse(advantages)).needsCritic ?? false
