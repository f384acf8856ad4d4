// What a user may say of any task that is answered by writing. Knows no task.
import { z } from 'zod'
import { openEnum } from '../../core/index.ts'
import { CHAT_TEMPLATES } from '../../tokenizers/index.ts'
import { type TextMetric, textMetricNames } from '../metrics/index.ts'
import type { rowFields } from '../records/read-rows.ts'

export const generationFields = {
  template: z
    .string()
    .optional()
    .describe(
      `how decoders see conversations: ${Object.keys(CHAT_TEMPLATES).join(', ')}, or Jinja source; the tokenizer's own unless given, else plain`,
    ),
  system: z.string().optional().describe('what the model is told before each conversation that does not say it itself'),
  learn: z
    .enum(['every', 'last'])
    .default('every')
    .describe('answers of a conversation that are learnt: every one, or the last alone'),
  tooLong: z
    .enum(['cut', 'drop', 'split', 'error'])
    .default('cut')
    .describe(
      'an example longer than maxLength: cut its source, then its end; drop it and count it; split it into several; or stop',
    ),
  maxNewTokens: z.int().positive().default(256).describe('most tokens of an answer that the model writes'),
  numBeams: z
    .int()
    .positive()
    .default(1)
    .describe('answers followed side by side; 1 takes the likeliest token each time'),
  repetitionPenalty: z.number().positive().default(1).describe('above 1 makes tokens that were there less likely'),
  uniqueNgramSize: z
    .int()
    .nonnegative()
    .default(0)
    .describe('no run of this many tokens comes twice in an answer; 0 is off'),
  temperature: z
    .number()
    .positive()
    .optional()
    .describe('draw tokens at this temperature; the likeliest are taken unless given'),
  topP: z.number().positive().max(1).default(1).describe('draw from the likeliest tokens that together reach this'),
  drawSeed: z
    .int()
    .nonnegative()
    .default(0)
    .describe("of the draws: an answer depends on it and on the record's place alone"),
  stemming: z.boolean().default(true).describe('ROUGE compares English words without their endings'),
}

/** The `metrics` of a generative task. */
export const metricsField = (defaults: readonly TextMetric[]) =>
  z
    .array(openEnum<TextMetric>(textMetricNames))
    .default([...defaults])
    .describe(`metrics of generated answers: ${textMetricNames().join(', ')}`)

export type GenerationSettings = z.output<
  z.ZodObject<
    typeof generationFields & { metrics: ReturnType<typeof metricsField> } & Pick<typeof rowFields, 'onFault'>
  >
>
export type TooLong = GenerationSettings['tooLong']
