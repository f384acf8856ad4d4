// LoRA and what has grown from it: a trained change of low rank to frozen linear layers. @source arXiv:2106.09685
import { z } from 'zod'
import type { Named } from '../../core/index.ts'
import { adapterFields, defineAdapter } from '../adapter.ts'
import { findTargets, targetsSchema } from '../targets.ts'
import { attachLora } from './attach.ts'
import type { LoraShape } from './layer.ts'
import { loraFiles } from './peft-files.ts'

const schema = z.strictObject({
  targets: targetsSchema
    .default('all-linear')
    .describe('layers that get a change: all-linear, or some by our names, such as qProj and vProj'),
  rank: z.int().min(1).max(4096).default(8).describe('rank of the change'),
  alpha: z.number().positive().default(16).describe('the change is multiplied by alpha / rank'),
  dropout: z.number().min(0).max(0.99).default(0).describe('dropout of what the change sees'),
  rsLora: z.boolean().default(false).describe('multiply by alpha / sqrt(rank) (arXiv:2312.03732)'),
  dora: z.boolean().default(false).describe('train the length of each row apart from its direction (arXiv:2402.09353)'),
  loraPlusRatio: z
    .number()
    .positive()
    .default(1)
    .describe('learning rate of B over that of A; 16 is usual for LoRA+ (arXiv:2402.12354)'),
  ...adapterFields,
})
export type LoraConfig = z.output<Named<'lora', typeof schema>>

export const lora = defineAdapter({
  type: 'lora',
  source: 'arXiv:2106.09685',
  config: schema,
  learningRate: 1e-3,
  plan: (model, config, context) => {
    const { rank, alpha, rsLora, dora, dropout } = config
    const shape: LoraShape = { rank, alpha, rsLora, dora, dropout }
    const places = findTargets(model, config.targets, 'adapter.targets').map((target) => ({ ...target, shape }))
    return attachLora(model, places, config, context)
  },
  summed: (configs) => {
    const rank = configs.reduce((sum, config) => sum + config.rank, 0)
    return { ...configs[0], rank, alpha: rank, rsLora: false }
  },
  peft: loraFiles,
})
