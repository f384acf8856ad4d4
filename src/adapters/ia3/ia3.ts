// IA3: trained factors on keys, values and the hidden units of the feed-forward block. @source arXiv:2205.05638
import { z } from 'zod'
import type { Named } from '../../core/index.ts'
import { adapterFields, defineAdapter } from '../adapter.ts'
import { findTargets, linearNames, targetsSchema } from '../targets.ts'
import { attachIa3, ia3Files } from './peft-files.ts'

const schema = z.strictObject({
  targets: targetsSchema
    .default(['kProj', 'vProj', 'downProj'])
    .describe('layers to adapt: names such as kProj and vProj, or all-linear'),
  inputTargets: z
    .array(z.enum(linearNames))
    .default(['downProj'])
    .describe('targets whose input is scaled instead of their output'),
  ...adapterFields,
})
/** Checked settings of IA3. */
export type Ia3Config = z.output<Named<'ia3', typeof schema>>

export const ia3 = defineAdapter({
  type: 'ia3',
  source: 'arXiv:2205.05638',
  config: schema,
  learningRate: 1e-2,
  plan: (model, config) => {
    const { targets, inputTargets } = config
    const places = findTargets(model, targets, 'adapter.targets')
    return attachIa3(
      model,
      places.map(({ path, layer, name }) => ({
        path,
        layer,
        onInput: name !== undefined && inputTargets.includes(name),
      })),
    )
  },
  peft: ia3Files,
})
