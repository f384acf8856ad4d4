// LoRA and its variants rsLoRA, DoRA and LoRA+: a trained low-rank change of frozen linear layers. @source
// arXiv:2106.09685
import { z } from 'zod'
import type { Named } from '../../core/index.ts'
import { adapterFields, defineAdapter } from '../adapter.ts'
import { findTargets, targetsSchema } from '../targets.ts'
import { attachLora } from './attach.ts'
import type { LoraShape } from './layer.ts'
import { loraFiles } from './peft-files.ts'
import { attachTokenRows, tokenIds } from './token-rows.ts'

const schema = z.strictObject({
  targets: targetsSchema
    .default('all-linear')
    .describe('layers to adapt: all-linear, or names such as qProj and vProj'),
  rank: z.int().min(1).max(4096).default(8).describe('rank of the low-rank matrices'),
  alpha: z.number().positive().default(16).describe('scaling: the change is multiplied by alpha / rank'),
  dropout: z.number().min(0).max(0.99).default(0).describe('dropout on the input of the low-rank matrices'),
  rsLora: z.boolean().default(false).describe('rsLoRA: multiply by alpha / sqrt(rank) instead (arXiv:2312.03732)'),
  dora: z
    .boolean()
    .default(false)
    .describe('DoRA: train the norm of each weight row separately from its direction (arXiv:2402.09353)'),
  loraPlusRatio: z
    .number()
    .positive()
    .default(1)
    .describe('LoRA+: ratio of the learning rate of B to that of A; 16 is usual (arXiv:2402.12354)'),
  tokens: z
    .array(z.string().min(1))
    .default([])
    .describe('tokens whose rows of embedding and output layer are trained too, such as new ones of a chat template'),
  ...adapterFields,
})
/** Checked settings of LoRA. */
export type LoraConfig = z.output<Named<'lora', typeof schema>>

export const lora = defineAdapter({
  type: 'lora',
  source: 'arXiv:2106.09685',
  config: schema,
  learningRate: 1e-3,
  family: 'lora',
  plan: (model, config, context) => {
    const { rank, alpha, rsLora, dora, dropout } = config
    const shape: LoraShape = { rank, alpha, rsLora, dora, dropout }
    const places = findTargets(model, config.targets, 'adapter.targets').map((target) => ({ ...target, shape }))
    const { placements, ...attachment } = attachLora(model, places, config, context)
    const ids = tokenIds(config.tokens, context.encode, model.facts.vocabSize)
    return { ...attachment, placements: [...placements, ...attachTokenRows(model, ids)] }
  },
  sumConfig: (configs) => {
    const rank = configs.reduce((sum, config) => sum + config.rank, 0)
    return { ...configs[0], rank, alpha: rank, rsLora: false }
  },
  peft: loraFiles,
})
