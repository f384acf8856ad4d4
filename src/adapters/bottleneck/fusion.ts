// AdapterFusion: trained attention over several frozen bottleneck adapters in each layer. @source arXiv:2005.00247
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { Linear, type Module } from '../../nn/index.ts'
import { type Dtype, eye, type Generator, noGrad, stack, type Tensor } from '../../tensor/index.ts'
import { type Attachment, adapterFields, defineAdapter, type LowerAdapter } from '../adapter.ts'
import { LayerAdapter } from '../layer-adapter.ts'
import { InvertibleLayer } from './invertible.ts'
import { BottleneckLayer } from './layer.ts'

// Attention over what several frozen bottlenecks add to the output of a layer: the output asks, each bottleneck answers.
// @source arXiv:2005.00247, section 3.2
type Way = (input: Tensor, ...more: never[]) => Tensor

/** Initial weight of other units in a value: with exact zeros, every one of them would start alike. */
const offDiagonal = 1e-6

/** Combines the bottlenecks of one layer. */
class FusionLayer extends LayerAdapter<Module, Way> {
  query: Linear
  key: Linear
  /** The identity at first; undefined where bottlenecks are added as they are. */
  value?: Linear
  readonly #parts: ReadonlyMap<string, BottleneckLayer>

  /**
   * @param width of the layer's output
   * @param parts frozen bottlenecks of the layer, by name
   */
  constructor(
    width: number,
    parts: ReadonlyMap<string, BottleneckLayer>,
    { value, like, generator }: { value: boolean; like: { dtype: Dtype; device: string }; generator: Generator },
  ) {
    super()
    this.#parts = parts
    this.query = new Linear(width, width)
    this.key = new Linear(width, width)
    for (const layer of [this.query, this.key]) layer.initialize({ std: 0.02, generator })
    if (value) {
      this.value = new Linear(width, width, { bias: false })
      this.value.weight.copy_(
        eye(width)
          .mul(1 - offDiagonal)
          .add(offDiagonal),
      )
    }
    for (const [, layer] of this.#own()) layer.to({ dtype: like.dtype, device: like.device })
  }

  *#own(): Iterable<[string, Module]> {
    yield ['query', this.query]
    yield ['key', this.key]
    if (this.value !== undefined) yield ['value', this.value]
  }

  override *children(): Iterable<[string, Module]> {
    yield* this.#own()
    for (const [name, part] of this.#parts) yield [`parts.${name}`, part]
  }

  /** Without those of the bottlenecks, which belong to other adapters. */
  override ownParameters(): Map<string, Tensor> {
    return new Map([...this.parameters()].filter(([path]) => !path.startsWith('parts.')))
  }

  override get rowWise(): boolean {
    return true
  }

  /** Squared distance of the value matrix from the identity; undefined without one. */
  distanceFromIdentity(): Tensor | undefined {
    const weight = this.value?.weight
    if (weight === undefined) return undefined
    const identity = noGrad(() => eye(weight.shape[0]).to({ dtype: weight.dtype, device: weight.device }))
    return weight.sub(identity).square().sum()
  }

  wrap(_: Module, next: Way): Way {
    return (input, ...more) => {
      const own = next(input, ...more)
      // [..., adapters, width]
      const added = stack(
        [...this.#parts.values()].map((part) => part.added(input, own)),
        -2,
      )
      const scores = this.key.forward(added).mul(this.query.forward(own).unsqueeze(-2)).sum(-1)
      const values = this.value === undefined ? added : this.value.forward(added)
      return own.add(scores.softmax(-1).unsqueeze(-1).mul(values).sum(-2))
    }
  }
}

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
