// Prompt tuning: trained vectors in front of every row, in the place of token embeddings. @source arXiv:2104.08691
import { z } from 'zod'
import type { Named } from '../../core/index.ts'
import { adapterFields, defineAdapter } from '../adapter.ts'
import { firstTokens } from './initial-tokens.ts'
import { promptFiles } from './peft-files.ts'
import { headRateField, slowerHead } from './positions.ts'
import { attachPrompt } from './prompt-layer.ts'

const schema = z.strictObject({
  virtualTokens: z.int().min(1).max(4096).default(20).describe('positions in front of every row'),
  initialText: z
    .string()
    .min(1)
    .optional()
    .describe('text whose tokens they begin as; drawn from the vocabulary unless given'),
  headRate: headRateField,
  ...adapterFields,
})
export type PromptConfig = z.output<Named<'prompt-tuning', typeof schema>>

const learningRate = 2e-2

export const promptTuning = defineAdapter({
  type: 'prompt-tuning',
  source: 'arXiv:2104.08691',
  config: schema,
  learningRate,
  stacks: false,
  plan: (model, { virtualTokens, initialText, headRate }, context) => ({
    ...attachPrompt(model, firstTokens(model, virtualTokens, initialText, context)),
    learningRateScale: slowerHead(learningRate, headRate),
  }),
  peft: promptFiles,
})
