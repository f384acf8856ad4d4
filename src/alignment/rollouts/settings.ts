// The settings of rollouts, whatever is learned from them.
import { z } from 'zod'

const count = () => z.int().positive()

/** The schema of the settings of rollouts. */
export const rolloutSchema = z.strictObject({
  prompts: count().default(16).describe('prompts per rollout'),
  answers: count().default(8).describe('answers per prompt, the group that advantages are computed in'),
  maxNewTokens: count().default(256).describe('maximum tokens of an answer'),
  temperature: z
    .number()
    .positive()
    .default(1)
    .describe('sampling temperature; it also divides the logits in training'),
  epochs: count().default(1).describe('epochs over the answers of each rollout'),
  rounds: count()
    .default(1)
    .describe(
      'rounds of sampling to fill a rollout with groups whose rewards differ (dynamic sampling); groups without variance are left out from 2 on',
    ),
  concurrency: count().default(32).describe('answers that are decoded at the same time'),
  keep: z.boolean().default(true).describe('write every answer to rollouts/ in the folder of the run (Parquet)'),
})

/** Checked settings of rollouts. */
export type RolloutSettings = z.output<typeof rolloutSchema>
