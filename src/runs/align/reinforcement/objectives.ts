// Objectives that learn from the model's own answers: every reinforcement learning algorithm, fine-tuning on the best answers, DPO on the best
// and the worst, and distillation. Each makes the criterion and the rollout method of a run.
import { z } from 'zod'
import {
  type AlgorithmDefinition,
  adaptiveKlSchema,
  advantageDefinition,
  advantageSchema,
  algorithmTypes,
  type Critic,
  distillationMethod,
  findAlgorithm,
  findPreference,
  KlController,
  needsCritic,
  onlinePreferenceMethod,
  type PolicyMethodParts,
  policyCriterion,
  policyMethod,
  policySchema,
  type Reference,
  type ResolvedRollout,
  type RolloutMethod,
  raftMethod,
  rewardShapingSchema,
} from '../../../alignment/index.ts'
import { ConfigError, invariant, parseConfig } from '../../../core/index.ts'
import type { Model } from '../../../models/index.ts'
import { type Criterion, distilled, type Teacher } from '../../../objectives/index.ts'
import { createAnswerCriterion } from '../../../tasks/index.ts'
import type { AlignObjective } from '../objectives.ts'

const { entropy, criticWarmup, importance, offPolicyThreshold, highEntropyShare, kl, value } = policySchema.shape

const algorithmSchema = z.strictObject({
  beta: z
    .number()
    .nonnegative()
    .optional()
    .describe("coefficient of the KL divergence from the reference model (default: the objective's; 0 for none)"),
  klIn: z
    .enum(['reward', 'loss'])
    .optional()
    .describe("place of the KL divergence: in the reward of each token, or in the loss (default: the objective's)"),
  klEstimator: z
    .enum(['k1', 'k2', 'k3', 'k3-k2'])
    .optional()
    .describe("estimator of the KL divergence (default: the objective's; k1 or k3 in the reward)"),
  klRatioCorrected: kl.unwrap().shape.ratioCorrected,
  adaptiveKl: adaptiveKlSchema.optional().describe('adapt beta, so that the KL divergence stays near a target'),
  advantages: z
    .record(z.string(), z.unknown())
    .default({})
    .describe("settings of the advantage estimator over the objective's: type, scale, gamma, lambda …"),
  loss: z
    .record(z.string(), z.unknown())
    .default({})
    .describe("settings of the policy loss over the objective's: type, clipLow, clipHigh, aggregation …"),
  shaping: rewardShapingSchema.prefault({}).describe('penalties, clipping and truncated answers'),
  critic: z
    .enum(['head', 'adapter'])
    .optional()
    .describe(
      'critic of objectives that have one: a head on the hidden states of the policy, or an adapter of its own on the frozen base (default: adapter where the policy is an adapter)',
    ),
  criticFrom: z
    .string()
    .optional()
    .describe(
      'reward model that the critic begins as: a run, an adapter on the same base, or a folder (default: a new head whose values are 0)',
    ),
  value,
  criticWarmup,
  entropy,
  importance,
  offPolicyThreshold,
  highEntropyShare,
})

type AlgorithmSettings = z.output<typeof algorithmSchema>

/** What the method of an objective is made of beside its settings. */
interface MethodParts {
  /** Undefined for answers that have what it would compute. */
  policy?: Model
  /** Undefined where nothing needs it. */
  reference?: Reference
  critic?: Critic
  rewardWeights: readonly number[]
  rollout: ResolvedRollout
}

/** What an objective is made of beside its settings. */
interface RolloutObjectiveParts extends MethodParts {
  /** Most tokens of the policy in an answer. */
  maxTokens: number
  /** Optimizer steps on the answers of a rollout. */
  updates: number
  /** Whether sampling and training compute in float32, so that they give the same log-probabilities. */
  fullPrecision: boolean
  /** Undefined for objectives that learn from none. */
  teacher?: Teacher
}

export interface RolloutObjective extends AlignObjective {
  data: 'prompts'
  /** Settings of rollouts that the recipe leaves open. */
  rollout: { answers: number; epochs: number; rounds: number; exact?: boolean }
  usesReference(settings: object): boolean
  usesCritic: boolean
  /** Whether it learns from a teacher (default: from rewards). */
  usesTeacher?: boolean
  /** Whether it learns from the tokens of the policy alone, so that an environment may write others between them. */
  masksTokens: boolean
  /** @throws ConfigError for settings that do not go together */
  create(settings: object, parts: RolloutObjectiveParts): { criterion: Criterion; method: RolloutMethod<unknown> }
  /**
   * The method alone, for answers that have their log-probabilities already.
   * @throws ConfigError for settings that do not go together
   */
  method(settings: object, parts: MethodParts): RolloutMethod<unknown>
}

/** How often dynamic sampling tries to fill a rollout. */
const dynamicRounds = 4

/** Where the KL divergence counts, with which coefficient and estimator; undefined for none. */
const klOf = (
  { kl }: AlgorithmDefinition,
  { beta = kl?.coefficient ?? 0, klIn, klEstimator, klRatioCorrected: ratioCorrected }: AlgorithmSettings,
) => {
  if (!(beta > 0)) return undefined
  const place = klIn ?? kl?.in ?? 'loss'
  const estimator = klEstimator ?? (kl?.in === place ? kl.estimator : place === 'reward' ? 'k1' : 'k3')
  if (place === 'reward' && estimator !== 'k1' && estimator !== 'k3')
    throw new ConfigError(`Expected k1 or k3 for \`klEstimator\` with \`klIn\` reward, got ${estimator}.`)
  if (place === 'reward' && ratioCorrected !== undefined)
    throw new ConfigError(
      '`klRatioCorrected` has no effect on a KL divergence in the reward: set `klIn` to loss, or remove it.',
    )
  return { in: place, coefficient: beta, estimator, ratioCorrected }
}

/** The estimator of advantages with its settings. @throws ConfigError for groups that are too small for it */
const advantagesOf = (definition: AlgorithmDefinition, settings: AlgorithmSettings, answers: number) => {
  const advantages = parseConfig(advantageSchema, { ...definition.advantages, ...settings.advantages }, 'advantages')
  if (advantageDefinition(advantages).needsGroups === true && answers < 2)
    throw new ConfigError(
      `Expected at least 2 for \`rollout.answers\` with the objective ${definition.type}, which compares the answers to a prompt, got ${answers}.`,
    )
  return advantages
}

const defaults = algorithmSchema.parse({})

/** @throws ConfigError for settings that would have no effect. Recipes of run.json have the defaults of all. */
const checkAlgorithm = (definition: AlgorithmDefinition, settings: AlgorithmSettings, critic: Critic | undefined) => {
  const isSet = (name: keyof AlgorithmSettings) => JSON.stringify(settings[name]) !== JSON.stringify(defaults[name])
  const ofCritic = (['critic', 'criticFrom', 'criticWarmup', 'value'] as const).find(isSet)
  if (critic === undefined && ofCritic !== undefined)
    throw new ConfigError(
      `Expected no \`settings.${ofCritic}\` with the objective ${definition.type}, which has no critic. Remove it, or choose ppo.`,
    )
  const ofKl = (['klIn', 'klEstimator', 'klRatioCorrected', 'adaptiveKl'] as const).find(isSet)
  if (ofKl !== undefined && klOf(definition, settings) === undefined)
    throw new ConfigError(`\`${ofKl}\` has no effect without a KL divergence: set \`beta\`, or remove it.`)
}

const algorithmMethod = (
  definition: AlgorithmDefinition,
  given: object,
  { policy, reference, critic, rewardWeights, rollout }: MethodParts,
  oldLogProbs: PolicyMethodParts['oldLogProbs'],
): RolloutMethod<unknown> => {
  const settings = parseConfig(algorithmSchema, given, definition.type)
  const kl = klOf(definition, settings)
  return policyMethod({
    policy,
    advantages: advantagesOf(definition, settings, rollout.answers),
    rewardWeights,
    shaping: {
      ...settings.shaping,
      maskTruncated: settings.shaping.maskTruncated ?? definition.maskTruncated ?? false,
    },
    ...(kl?.in === 'reward'
      ? {
          rewardKl: {
            controller: new KlController(kl.coefficient, settings.adaptiveKl),
            estimator: kl.estimator === 'k3' ? 'k3' : 'k1',
          },
        }
      : {}),
    reference,
    critic,
    temperature: rollout.temperature,
    oldLogProbs,
  }) as RolloutMethod<unknown>
}

const createAlgorithm = (
  definition: AlgorithmDefinition,
  given: object,
  parts: RolloutObjectiveParts,
): ReturnType<RolloutObjective['create']> => {
  const settings = parseConfig(algorithmSchema, given, definition.type)
  const { critic, rollout, updates, maxTokens, fullPrecision } = parts
  const { entropy, criticWarmup, offPolicyThreshold, highEntropyShare, value, adaptiveKl } = settings
  checkAlgorithm(definition, settings, critic)
  const kl = klOf(definition, settings)
  const method = algorithmMethod(
    definition,
    given,
    parts,
    updates === 1 ? 'none' : fullPrecision ? 'sampling' : 'training',
  )
  const criterion = policyCriterion(
    parseConfig(
      policySchema,
      {
        loss: { ...definition.loss, ...settings.loss },
        temperature: rollout.temperature,
        maxTokens,
        ...(kl?.in === 'loss'
          ? {
              kl: {
                coefficient: kl.coefficient,
                estimator: kl.estimator,
                ratioCorrected: kl.ratioCorrected,
                adaptive: adaptiveKl,
              },
            }
          : {}),
        entropy,
        criticWarmup,
        offPolicyThreshold,
        highEntropyShare,
        value,
        // Probabilities of sampling are corrected where they may differ from those of training.
        importance: settings.importance ?? (fullPrecision ? undefined : {}),
      },
      'settings',
    ),
    { critic },
  )
  return { criterion: criterion as Criterion, method }
}

const algorithmObjective = (definition: AlgorithmDefinition): RolloutObjective => ({
  type: definition.type,
  source: definition.source,
  summary: definition.summary,
  config: algorithmSchema,
  data: 'prompts',
  learningRate: 1e-6,
  rollout: {
    answers: definition.answersPerPrompt,
    epochs: definition.epochs,
    rounds: definition.dynamicSampling === true ? dynamicRounds : 1,
  },
  usesReference: (settings) => klOf(definition, parseConfig(algorithmSchema, settings, definition.type)) !== undefined,
  usesCritic: needsCritic(definition),
  masksTokens: true,
  create: (settings, parts) => createAlgorithm(definition, settings, parts),
  method: (settings, parts) => algorithmMethod(definition, settings, parts, 'sampling'),
})

const raftSettings = z.strictObject({
  keep: z.int().positive().default(1).describe('answers of each prompt to train on, the best first'),
  minScore: z.number().optional().describe('least reward of an answer to train on, such as 1 for correct ones'),
})

const raft: RolloutObjective = {
  type: 'raft',
  source: 'arXiv:2304.06767',
  summary: 'best-of-n: fine-tuning on the best answers to each prompt',
  config: raftSettings,
  data: 'prompts',
  learningRate: 1e-5,
  rollout: { answers: 8, epochs: 1, rounds: 1 },
  usesReference: () => false,
  usesCritic: false,
  masksTokens: true,
  create(settings, parts) {
    const { temperature } = parts.rollout
    const loss = { type: 'reinforce', aggregation: 'token-mean' }
    const policy = parseConfig(policySchema, { loss, temperature }, 'settings')
    return { criterion: policyCriterion(policy) as Criterion, method: raft.method(settings, parts) }
  },
  method: (settings, { reference, rollout: { temperature } }) =>
    raftMethod(parseConfig(raftSettings, settings, 'raft'), { reference, temperature }) as RolloutMethod<unknown>,
}

const dpo = findPreference('dpo')

const onlineDpo: RolloutObjective = {
  type: 'online-dpo',
  source: 'arXiv:2402.04792',
  summary: 'DPO on the best and the worst of the answers to each prompt',
  config: dpo.config,
  data: 'prompts',
  learningRate: dpo.learningRate,
  rollout: { answers: 2, epochs: 1, rounds: 1 },
  usesReference: () => true,
  usesCritic: false,
  masksTokens: false,
  create: (settings, parts) => ({
    criterion: dpo.criterion(parseConfig(dpo.config, settings, 'online-dpo'), { reference: parts.reference }),
    method: onlineDpo.method(settings, parts),
  }),
  method: (_, { reference, rollout: { temperature } }) =>
    onlinePreferenceMethod({ reference, temperature }) as RolloutMethod<unknown>,
}

/** Any id works as padding: it is masked and is no target. */
const padId = 0

const gkd: RolloutObjective = {
  type: 'gkd',
  source: 'arXiv:2306.13649',
  summary: 'on-policy distillation: the predictions of a larger model for each token of the own answers',
  config: z.strictObject({}),
  data: 'prompts',
  learningRate: 1e-5,
  // Nothing is divided by the probabilities of sampling, so that they need not be those of training.
  rollout: { answers: 1, epochs: 1, rounds: 1, exact: false },
  usesReference: () => false,
  usesCritic: false,
  usesTeacher: true,
  masksTokens: true,
  create(settings, parts) {
    const { teacher } = parts
    invariant(teacher !== undefined, 'a run of gkd has a teacher.')
    return { criterion: distilled(createAnswerCriterion(padId), teacher), method: gkd.method(settings, parts) }
  },
  method: (_, { reference, rollout: { temperature } }) =>
    distillationMethod({ reference, temperature }) as RolloutMethod<unknown>,
}

const others = [raft, onlineDpo, gkd]

export const rolloutObjectiveTypes = (): string[] => [...algorithmTypes(), ...others.map(({ type }) => type)]

export const findRolloutObjective = (type: string): RolloutObjective | undefined => {
  const algorithm = findAlgorithm(type)
  return algorithm === undefined ? others.find((one) => one.type === type) : algorithmObjective(algorithm)
}
