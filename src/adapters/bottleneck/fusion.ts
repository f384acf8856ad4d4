// AdapterFusion: trained attention over several frozen bottleneck adapters in each layer. @source arXiv:2005.00247
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { Linear, type Module } from '../../nn/index.ts'
import { type Attachment, adapterFields, defineAdapter, type LowerAdapter } from '../adapter.ts'
import { FusionLayer } from './fusion-layer.ts'
import { InvertibleLayer } from './invertible.ts'
import { BottleneckLayer } from './layer.ts'

const schema = z.strictObject({
  value: z
    .boolean()
    .default(true)
    .describe('transform what the adapters add by a matrix, which starts as the identity'),
  regularization: z
    .number()
    .nonnegative()
    .default(0.01)
    .describe('loss term: factor of the squared distance of the value matrices from the identity'),
  ...adapterFields,
})

/** The bottlenecks of each layer by the name of their adapter. @throws ConfigError for an adapter with anything else */
const partsByLayer = (
  below: readonly LowerAdapter[],
): Map<string, { host: Module; parts: Map<string, BottleneckLayer> }> => {
  const layers = new Map<string, { host: Module; parts: Map<string, BottleneckLayer> }>()
  for (const { name, type, placements } of below)
    for (const { path, host, adapter } of placements) {
      if (adapter instanceof InvertibleLayer)
        throw new ConfigError(
          `\`fusion\` needs adapters without an invertible one, of which only one could change the embeddings, got ${name}. Leave it out of \`stack\`.`,
        )
      if (!(adapter instanceof BottleneckLayer))
        throw new ConfigError(
          `\`fusion\` needs bottleneck adapters (houlsby, pfeiffer or parallel), got ${type} for ${name}. Leave it out of \`stack\`.`,
        )
      const layer = layers.get(path) ?? { host, parts: new Map<string, BottleneckLayer>() }
      layers.set(path, { host, parts: layer.parts.set(name, adapter) })
    }
  return layers
}

export const fusion = defineAdapter({
  type: 'fusion',
  source: 'arXiv:2005.00247',
  config: schema,
  learningRate: 5e-5,
  fuses: true,
  plan(model, { value, regularization }, { generator, below = [] }): Attachment {
    const placements = [...partsByLayer(below)].map(([path, { host, parts }]) => {
      const width = host instanceof Linear ? host.shape[0] : model.facts.hiddenSize
      const like = host instanceof Linear ? host : model.body.embedTokens
      return { path, host, adapter: new FusionLayer(width, parts, { value, like, generator }) }
    })
    const distance = () =>
      placements
        .flatMap(({ adapter }) => adapter.distanceFromIdentity() ?? [])
        .reduce((sum, one) => sum.add(one.to({ device: sum.device })))
    return {
      placements,
      trained: [],
      beginTraining: () =>
        value && regularization > 0
          ? { penalty: { name: 'fusionRegularization', scale: regularization, loss: distance } }
          : {},
    }
  },
})
