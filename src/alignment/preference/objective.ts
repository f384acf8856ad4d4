// The interfaces of preference objectives: settings, and the loss of pairs from the log-probabilities of their completions.
// Independent of particular objectives, of models and of how batches are made.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import type { Criterion } from '../../objectives/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { Reference } from '../reference.ts'
import type { PreferencePair, RatedCompletion } from './pairs.ts'

/** Log-probabilities of one side of P pairs, in nats, each float64 [P]; float32 on a device without float64, as all that is float64 in this folder. */
export interface PairSide {
  /** Summed over the tokens of each completion, with a gradient. */
  policy: Tensor
  /** The same less that of the reference, with a gradient; for objectives without a reference it is `policy`. */
  ratio: Tensor
  /** Completion tokens. */
  length: Tensor
}

/** What the loss of pairs is computed from. */
export interface PairValues {
  chosen: PairSide
  rejected: PairSide
  /** Column `i` of what `wholeBatch` gave, float64 [P]. */
  constant(i: number): Tensor
}

/** Summed log-probabilities of the completions of a global batch, without gradients. */
export interface BatchLogProbs {
  /** Under the policy. */
  chosen: Float64Array
  rejected: Float64Array
  /** Under the reference. */
  referenceChosen: Float64Array
  referenceRejected: Float64Array
}

/** What an objective takes from the whole global batch, and carries from step to step. */
export interface WholeBatch {
  /** Constants of each pair, and what is carried on. */
  constants(batch: BatchLogProbs, carried: readonly number[]): { perPair: number[][]; carried: number[] }
  /** What is carried before the first step. */
  readonly initial: readonly number[]
}

/** Settings that pair objectives share, in the form in which the criterion uses them. */
export interface PairOptions {
  /** Weight of the cross entropy of the chosen completions, per token; 0 for none. */
  sftWeight: number
  /** Count the prompt of the chosen completion in that cross entropy. */
  sftPrompt: boolean
  /** Weight each pair by how likely the policy would write its completions. */
  weighting: boolean
  /** Factor of the log-probabilities of tokens after the length of the shorter completion. */
  tailWeight: number
  /** How the reference follows the policy; undefined for one that stays. */
  sync: { steps: number; mix: number } | undefined
}

/** An objective on pairs, with its settings. */
export interface PairObjective {
  readonly options: PairOptions
  /** Loss of each pair, float64 [P]. */
  loss(values: PairValues): Tensor
  /** Rewards that the objective compares, for metrics, float64 [P]. */
  reward(side: PairSide): Tensor
  readonly wholeBatch?: WholeBatch
}

/** What a criterion needs beside its settings. */
export interface PreferenceContext {
  /** Needed by objectives with a reference. */
  reference?: Reference
  /** Maximum tokens of a prompt with a completion, where the objective makes its own combinations (default: that of the model). */
  maxLength?: number
}

interface Declared<Schema extends z.ZodObject, Type extends string> {
  /** Name in recipes and flags. */
  type: Type
  /** Publication of the method. */
  source: string
  /** One phrase for lists of objectives. */
  summary: string
  /** Settings, without `type`. */
  config: Schema
  /** Whether it compares the policy with a reference model. */
  reference: boolean
  /** Default learning rate with AdamW when all weights are trained; adapters take about ten times as much. */
  learningRate: number
}

/** A preference objective on pairs. */
export interface PairDefinition<Schema extends z.ZodObject = z.ZodObject, Type extends string = string>
  extends Declared<Schema, Type> {
  data: 'pairs'
  /** Loss of a pair, without weights, where the policy is the reference: what the first step must have. */
  lossAtReference?(config: z.output<Schema>): number
  /** @throws ConfigError for settings that exclude each other, or without the reference that it needs */
  criterion(config: z.output<Schema>, context: PreferenceContext): Criterion<PreferencePair>
}

/** A preference objective on rated completions. */
export interface RatingDefinition<Schema extends z.ZodObject = z.ZodObject, Type extends string = string>
  extends Declared<Schema, Type> {
  data: 'ratings'
  /** Loss where the policy is the reference, by the share of good completions. */
  lossAtReference?(config: z.output<Schema>, goodShare: number): number
  /** @throws ConfigError for settings that exclude each other, or without the reference that it needs */
  criterion(config: z.output<Schema>, context: PreferenceContext): Criterion<RatedCompletion>
}

/** A preference objective: its settings, the data that it learns from, and its criterion. */
export type PreferenceDefinition<Schema extends z.ZodObject = z.ZodObject, Type extends string = string> =
  | PairDefinition<Schema, Type>
  | RatingDefinition<Schema, Type>

export const freeFields = (sftWeight: number) => ({
  sftWeight: z
    .number()
    .nonnegative()
    .default(sftWeight)
    .describe('weight of the cross entropy of the chosen answers, per token (0: none)'),
  weighting: z
    .boolean()
    .default(false)
    .describe('WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827)'),
})

/** How far the policy may move from the reference. */
export const betaField = (beta: number) =>
  z.number().positive().default(beta).describe('strength of the penalty for leaving the reference model')

/** Label smoothing; below one half, where the two answers would count the same. */
export const smoothingField = (value: number, help: string) => z.number().min(0).lt(0.5).default(value).describe(help)

const divergences = ['reverse-kl', 'forward-kl', 'jensen-shannon', 'alpha'] as const
export type Divergence = (typeof divergences)[number]

export const followFields = {
  referenceSyncSteps: z
    .int()
    .positive()
    .optional()
    .describe(
      'TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default: never)',
    ),
  referenceMix: z
    .number()
    .gt(0)
    .max(1)
    .default(0.6)
    .describe('TR-DPO: share of the policy in the new reference model; 1 copies the policy'),
}

export const referenceFields = {
  ...freeFields(0),
  tailWeight: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411)'),
  divergence: z
    .enum(divergences)
    .default('reverse-kl')
    .describe('f-DPO: divergence between policy and reference model (arXiv:2309.16240)'),
  divergenceAlpha: z.number().gt(0).lt(1).default(0.5).describe('f-DPO: alpha of the divergence `alpha`'),
  ...followFields,
}

interface FollowSettings {
  referenceSyncSteps?: number
  referenceMix: number
}

/** When and how far the reference moves. @throws ConfigError for a share without steps, which has no effect */
export const syncOf = ({ referenceSyncSteps: steps, referenceMix: mix }: FollowSettings): PairOptions['sync'] => {
  if (steps !== undefined) return { steps, mix }
  if (mix !== followFields.referenceMix.parse(undefined))
    throw new ConfigError('`referenceMix` has no effect without `referenceSyncSteps`: set both or neither.')
  return undefined
}

interface ReferenceSettings extends FollowSettings {
  sftWeight: number
  weighting: boolean
  tailWeight: number
  divergence: Divergence
  divergenceAlpha: number
}

/** The shared settings of an objective with a reference. @throws ConfigError for one that has no effect */
export const referenceOptions = (config: ReferenceSettings): PairOptions => {
  const { divergence, divergenceAlpha } = config
  if (divergence !== 'alpha' && divergenceAlpha !== referenceFields.divergenceAlpha.parse(undefined))
    throw new ConfigError(
      `\`divergenceAlpha\` has no effect on the divergence ${divergence}: set \`divergence\` to alpha, or remove it.`,
    )
  return {
    sftWeight: config.sftWeight,
    sftPrompt: false,
    weighting: config.weighting,
    tailWeight: config.tailWeight,
    sync: syncOf(config),
  }
}

export const freeOptions = ({ sftWeight, weighting }: { sftWeight: number; weighting: boolean }): PairOptions => ({
  sftWeight,
  sftPrompt: false,
  weighting,
  tailWeight: 1,
  sync: undefined,
})

/** @throws ConfigError for another divergence than the objective is defined for */
export const refuseDivergence = (type: string, { divergence }: Pick<ReferenceSettings, 'divergence'>): void => {
  if (divergence !== 'reverse-kl')
    throw new ConfigError(
      `\`divergence\` ${divergence} needs an objective that depends only on the difference of the two rewards, and \`${type}\` does not: set it to reverse-kl, or choose dpo, dpo-norm, ipo, hinge, robust-dpo, exo or discopop.`,
    )
}
