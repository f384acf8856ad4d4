// The settings of rollouts, whatever is learned from them.
import { z } from 'zod'

const count = () => z.int().positive()

/** The schema of the settings of rollouts. */
export const rolloutSchema = z.strictObject({
  prompts: count().default(16).describe('prompts per rollout'),
  answers: count()
    .optional()
    .describe("answers per prompt, the group that advantages are computed in (default: the objective's)"),
  maxNewTokens: count().default(256).describe('maximum tokens of an answer'),
  temperature: z
    .number()
    .positive()
    .default(1)
    .describe('sampling temperature; it also divides the logits in training'),
  epochs: count().optional().describe("epochs over the answers of each rollout (default: the objective's)"),
  rounds: count()
    .optional()
    .describe(
      "rounds of sampling to fill a rollout with groups whose rewards differ (dynamic sampling); from 2 on, groups without variance are left out (default: the objective's)",
    ),
  concurrency: count().default(32).describe('answers that are decoded at the same time'),
  exact: z
    .boolean()
    .optional()
    .describe(
      'compute so that sampling and training give the same log-probabilities to the bit; needs float32 weights on a CPU, where it is the default',
    ),
  measureKl: z
    .boolean()
    .default(true)
    .describe('measure the KL divergence from the base, also where the objective does not need it'),
  keep: z.boolean().default(true).describe('write every answer to rollouts/ in the folder of the run (Parquet)'),
})

/** Checked settings of rollouts. */
export type RolloutSettings = z.output<typeof rolloutSchema>

/** Settings of rollouts with those of the objective filled in. */
export type ResolvedRollout = RolloutSettings &
  Required<Pick<RolloutSettings, 'answers' | 'epochs' | 'rounds' | 'exact'>>
