// Prompt tuning, as a fine-tuning method. @source arXiv:2104.08691
import { z } from 'zod'
import type { Named } from '../../core/index.ts'
import { adapterFields, defineAdapter } from '../adapter.ts'
import { promptFiles } from './peft-files.ts'
import { headLearningRateScale, headRateRatioField, initialTokenIds } from './positions.ts'
import { attachPrompt } from './prompt-layer.ts'

const schema = z.strictObject({
  virtualTokens: z.int().min(1).max(4096).default(20).describe('number of virtual tokens in front of every row'),
  initialText: z
    .string()
    .min(1)
    .optional()
    .describe('text whose token embeddings initialise the virtual tokens (default: random tokens of the vocabulary)'),
  headRateRatio: headRateRatioField,
  ...adapterFields,
})
/** Checked settings of prompt tuning. */
export type PromptConfig = z.output<Named<'prompt-tuning', typeof schema>>

const learningRate = 2e-2

export const promptTuning = defineAdapter({
  type: 'prompt-tuning',
  source: 'arXiv:2104.08691',
  config: schema,
  learningRate,
  stacks: false,
  plan: (model, { virtualTokens, initialText, headRateRatio }, context) => ({
    ...attachPrompt(model, initialTokenIds(model, virtualTokens, initialText, context)),
    learningRateScale: headLearningRateScale(learningRate, headRateRatio),
  }),
  peft: promptFiles,
})
