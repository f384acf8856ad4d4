// Settings of the policy criterion: the loss and what is added to it, one strict schema.
import { z } from 'zod'
import { valueLossSchema } from './critic.ts'
import { adaptiveKlSchema, lossKlEstimators } from './kl-divergence.ts'
import { policyLossSchema } from './policy-losses/index.ts'

const lossKlSchema = z.strictObject({
  coefficient: z.number().nonnegative().default(0.04).describe('coefficient of the KL divergence in the loss, β'),
  estimator: z
    .enum(lossKlEstimators)
    .default('k3')
    .describe(
      'estimator: k3 as in GRPO; k2 has an unbiased gradient; k3-k2 has the value of k3 and the gradient of k2',
    ),
  ratioCorrected: z
    .boolean()
    .optional()
    .describe(
      'multiply by the probability ratio, which makes the gradients of k1 and k3 unbiased and that of k2 biased (default: for k1 and k3, as DeepSeek-V3.2)',
    ),
  adaptive: adaptiveKlSchema.optional().describe('adapt the coefficient to a target'),
})

/** Settings of the correction for probabilities that differ between sampling and training. */
const importanceSchema = z.strictObject({
  level: z
    .enum(['token', 'answer'])
    .default('token')
    .describe('a weight for each token, or for each answer: the product of those of its tokens'),
  beyond: z
    .enum(['truncate', 'mask'])
    .default('truncate')
    .describe('treatment of weights above the cap: set to the cap, or to 0'),
  cap: z.number().gt(0).default(2).describe('largest weight'),
})

/** Settings of the policy criterion. */
export const policySchema = z.strictObject({
  loss: policyLossSchema.describe('policy loss'),
  temperature: z.number().positive().default(1).describe('temperature that the answers were sampled with'),
  maxTokens: z
    .int()
    .positive()
    .optional()
    .describe('maximum length of an answer in tokens, for the aggregation fixed-length'),
  kl: lossKlSchema.optional().describe('KL divergence from the reference as a part of the loss'),
  entropy: z
    .number()
    .nonnegative()
    .default(0)
    .describe('coefficient of the entropy bonus; above 0 it computes all logits of the trained tokens again'),
  value: valueLossSchema.prefault({}).describe('loss of the critic, where there is one'),
  criticWarmup: z
    .int()
    .nonnegative()
    .default(0)
    .describe('optimizer steps at the start in which only the critic is trained'),
  importance: importanceSchema
    .optional()
    .describe('weights for answers whose sampling probabilities differ from those of training'),
  offPolicyThreshold: z
    .number()
    .nonnegative()
    .optional()
    .describe('answers with a negative advantage whose mean log-ratio to sampling is above this are not learned from'),
  highEntropyShare: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe('learn only from this share of the tokens of the batch, those with the highest entropy'),
  dropout: z.boolean().default(false).describe('use dropout in training; it makes ratios differ from 1 by chance'),
})

/** Checked settings of the policy criterion. */
export type PolicyConfig = z.output<typeof policySchema>
/** Settings of the policy criterion as a recipe writes them. */
export type PolicyInput = z.input<typeof policySchema>
