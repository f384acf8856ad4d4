// The settings of rollouts, whatever is learned from them.
import { z } from 'zod'

const count = () => z.int().positive()

/** The schema of the settings of rollouts. */
export const rolloutSchema = z.strictObject({
  prompts: count().default(16).describe('prompts per rollout'),
  answers: count().optional().describe("answers per prompt, which advantages compare (default: the objective's)"),
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
      "rounds of sampling to fill a rollout with groups whose rewards differ (dynamic sampling); from 2 on, others are left out (default: the objective's)",
    ),
  concurrency: count().default(32).describe('answers decoded at once'),
  exact: z
    .boolean()
    .optional()
    .describe(
      'the same log-probabilities, to the bit, in sampling and training; needs float32 weights on a CPU, where it is the default',
    ),
  measureKl: z
    .boolean()
    .default(true)
    .describe('measure the KL divergence from the base or teacher, also if not needed'),
  keep: z.boolean().default(true).describe('write every answer to rollouts/ in the folder of the run (Parquet)'),
})

/** Checked settings of rollouts. */
export type RolloutSettings = z.output<typeof rolloutSchema>

/** Settings of rollouts with those of the objective filled in. */
export type ResolvedRollout = RolloutSettings &
  Required<Pick<RolloutSettings, 'answers' | 'epochs' | 'rounds' | 'exact'>>
