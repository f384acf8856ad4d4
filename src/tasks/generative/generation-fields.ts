// The settings that all generative tasks share.
import { z } from 'zod'
import { openEnum } from '../../core/index.ts'
import { labelSmoothingField } from '../../objectives/index.ts'
import { CHAT_TEMPLATES } from '../../tokenizers/index.ts'
import { type TextMetric, textMetricNames } from '../metrics/index.ts'
import type { rowFields } from '../records/read-rows.ts'

export const generationFields = {
  template: z
    .string()
    .optional()
    .describe(
      `chat template of decoders: ${Object.keys(CHAT_TEMPLATES).join(', ')}, or Jinja source (default: that of the tokenizer, else plain)`,
    ),
  system: z.string().optional().describe('system prompt of conversations without one'),
  lossOn: z
    .enum(['all-answers', 'last-answer'])
    .default('all-answers')
    .describe('assistant turns that the loss includes: all of a conversation, or the last one only'),
  tooLong: z
    .enum(['truncate', 'drop', 'split', 'error'])
    .default('truncate')
    .describe(
      'examples longer than maxLength: truncate the source text, with a prompt of a quarter of maxLength left, then the end; drop and count them; split them; or stop with an error',
    ),
  labelSmoothing: labelSmoothingField,
  maxNewTokens: z
    .int()
    .positive()
    .optional()
    .describe("maximum tokens of a generated answer (default: 256, or half of the model's positions if that is less)"),
  numBeams: z.int().positive().default(1).describe('beams of beam search; 1 is greedy decoding'),
  repetitionPenalty: z
    .number()
    .positive()
    .default(1)
    .describe('repetition penalty: values above 1 make tokens that occurred before less likely'),
  noRepeatNgramSize: z
    .int()
    .nonnegative()
    .default(0)
    .describe('forbid n-grams of this size to repeat in an answer (0 disables)')
    .meta({ flag: 'unique-ngram-size' }),
  temperature: z.number().positive().optional().describe('sampling temperature (default: no sampling)'),
  topP: z
    .number()
    .positive()
    .max(1)
    .default(1)
    .describe('top-p (nucleus) sampling: cumulative probability of the candidates'),
  samplingSeed: z
    .int()
    .nonnegative()
    .default(0)
    .describe("seed of sampling; an answer depends only on it and on the record's position"),
  stemming: z.boolean().default(true).describe('ROUGE: compare stems of English words'),
}

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
