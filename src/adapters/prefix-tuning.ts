// Prefix tuning: trained keys and values in front of every row, in every layer. @source arXiv:2101.00190, arXiv:2110.07602
import { z } from 'zod'
import { adapterFields, defineAdapter } from './adapter.ts'
import { attachPrefix } from './prefix-layer.ts'
import { prefixFiles } from './virtual-token-files.ts'

const schema = z.strictObject({
  type: z.literal('prefix-tuning'),
  virtualTokens: z.int().min(1).max(4096).default(20).describe('positions in front of every row'),
  projection: z
    .int()
    .min(1)
    .optional()
    .describe('units of a network that makes the prefix while it is trained; none unless given'),
  ...adapterFields,
})
export type PrefixConfig = z.output<typeof schema>

export const prefixTuning = defineAdapter({
  type: 'prefix-tuning',
  source: 'arXiv:2101.00190',
  config: schema,
  learningRate: 1e-2,
  stacks: false,
  plan: (model, config, { generator }) => attachPrefix(model, config, generator),
  peft: prefixFiles,
})
