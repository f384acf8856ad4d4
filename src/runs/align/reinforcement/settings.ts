// Settings of objectives that learn from rewards, over the values that each algorithm was published with.
import { z } from 'zod'
import { adaptiveKlSchema, policySchema, rewardShapingSchema } from '../../../alignment/index.ts'

const { entropy, criticWarmup, importance, offPolicyThreshold, highEntropyShare, kl, value } = policySchema.shape

/** The schema of the settings of every algorithm. */
export const algorithmSchema = z.strictObject({
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

/** Checked settings of an algorithm. */
export type AlgorithmSettings = z.output<typeof algorithmSchema>
