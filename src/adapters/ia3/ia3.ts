// IA3: trained factors on keys, values and the inside of the feed-forward block. @source arXiv:2205.05638
import { z } from 'zod'
import type { Named } from '../../core/index.ts'
import { adapterFields, defineAdapter } from '../adapter.ts'
import { findTargets, linearNames, targetsSchema } from '../targets.ts'
import { attachIa3, ia3Files } from './peft-files.ts'

const schema = z.strictObject({
  targets: targetsSchema
    .default(['kProj', 'vProj', 'downProj'])
    .describe('layers that get factors, by our names, or all-linear'),
  ofInput: z
    .array(z.enum(linearNames))
    .default(['downProj'])
    .describe('those of the targets whose input gets the factors, not their output'),
  ...adapterFields,
})
export type Ia3Config = z.output<Named<'ia3', typeof schema>>

export const ia3 = defineAdapter({
  type: 'ia3',
  source: 'arXiv:2205.05638',
  config: schema,
  learningRate: 1e-2,
  plan: (model, config) => {
    const { targets, ofInput } = config
    const places = findTargets(model, targets, 'adapter.targets')
    return attachIa3(
      model,
      places.map(({ path, layer, name }) => ({ path, layer, ofInput: ofInput.includes(name) })),
    )
  },
  peft: ia3Files,
})
