// Prefix tuning: trained keys and values in front of every row, in every layer. @source arXiv:2101.00190, arXiv:2110.07602
import { z } from 'zod'
import { ConfigError, type Named } from '../../core/index.ts'
import { adapterFields, defineAdapter } from '../adapter.ts'
import { firstTokens } from './initial-tokens.ts'
import { prefixFiles } from './peft-files.ts'
import { headRateField, slowerHead } from './positions.ts'
import { attachPrefix, beginAtTokens } from './prefix-layer.ts'

const schema = z.strictObject({
  virtualTokens: z.int().min(1).max(4096).default(20).describe('positions in front of every row'),
  projection: z
    .int()
    .min(1)
    .optional()
    .describe('units of a network that makes the prefix while it is trained; none unless given'),
  start: z
    .enum(['tokens', 'normal'])
    .optional()
    .describe('what the prefix begins as: what the base makes of tokens, or draws; tokens, unless a network makes it'),
  initialText: z.string().min(1).optional().describe('text of those tokens; drawn from the vocabulary unless given'),
  headRate: headRateField,
  ...adapterFields,
})
export type PrefixConfig = z.output<Named<'prefix-tuning', typeof schema>>

const learningRate = 3e-2

export const prefixTuning = defineAdapter({
  type: 'prefix-tuning',
  source: 'arXiv:2101.00190',
  config: schema,
  learningRate,
  stacks: false,
  plan: (model, config, context) => {
    const { virtualTokens, projection, start = projection === undefined ? 'tokens' : 'normal', initialText } = config
    if (start === 'tokens' && projection !== undefined)
      throw new ConfigError(
        'Expected no `projection` beside `start` tokens, got both: a network cannot begin at given values. Leave one out.',
      )
    if (start === 'normal' && initialText !== undefined)
      throw new ConfigError(
        'Expected no `initialText` where the prefix begins as draws, got one. Leave out `start` normal or `projection`.',
      )
    const attached = attachPrefix(model, config, context.generator)
    if (start === 'tokens') beginAtTokens(model, attached, firstTokens(model, virtualTokens, initialText, context))
    return { ...attached, learningRateScale: slowerHead(learningRate, config.headRate) }
  },
  peft: prefixFiles,
})
