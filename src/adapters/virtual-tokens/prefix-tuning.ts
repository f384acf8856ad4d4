// Prefix tuning, as a fine-tuning method. @source arXiv:2101.00190, arXiv:2110.07602
import { z } from 'zod'
import { ConfigError, type Named } from '../../core/index.ts'
import { adapterFields, defineAdapter } from '../adapter.ts'
import { prefixFiles } from './peft-files.ts'
import { headLearningRateScale, headRateRatioField, initialTokenIds } from './positions.ts'
import { attachPrefix, initializeFromTokens } from './prefix-layer.ts'

const schema = z.strictObject({
  virtualTokens: z.int().min(1).max(4096).default(20).describe('number of virtual tokens in front of every row'),
  projection: z
    .int()
    .min(1)
    .optional()
    .describe('hidden units of a network that computes the prefix during training (default: no network)'),
  init: z
    .enum(['tokens', 'normal'])
    .optional()
    .describe(
      'initialisation of the prefix: keys and values of tokens, or normal random values (default: tokens, with `projection` normal)',
    ),
  initialText: z
    .string()
    .min(1)
    .optional()
    .describe('text whose tokens initialise the prefix (default: random tokens of the vocabulary)'),
  headRateRatio: headRateRatioField,
  ...adapterFields,
})
/** Checked settings of prefix tuning. */
export type PrefixConfig = z.output<Named<'prefix-tuning', typeof schema>>

const learningRate = 3e-2

export const prefixTuning = defineAdapter({
  type: 'prefix-tuning',
  source: 'arXiv:2101.00190',
  config: schema,
  learningRate,
  stacks: false,
  plan: (model, config, context) => {
    const { virtualTokens, projection, init = projection === undefined ? 'tokens' : 'normal', initialText } = config
    if (init === 'tokens' && projection !== undefined)
      throw new ConfigError(
        'Expected no `projection` with `init` tokens, got both: a network cannot start from given values. Leave one out.',
      )
    if (init === 'normal' && initialText !== undefined)
      throw new ConfigError(
        'Expected no `initialText` for a prefix with random initial values, got one. Leave out `init` normal or `projection`.',
      )
    const attached = attachPrefix(model, config, context.generator)
    if (init === 'tokens')
      initializeFromTokens(model, attached, initialTokenIds(model, virtualTokens, initialText, context))
    return { ...attached, learningRateScale: headLearningRateScale(learningRate, config.headRateRatio) }
  },
  peft: prefixFiles,
})
