// Attention over what several frozen bottlenecks add to the output of a layer: the output asks, each bottleneck answers.
// @source arXiv:2005.00247, section 3.2
import { Linear, type Module } from '../../nn/index.ts'
import { type Dtype, eye, type Generator, noGrad, stack, type Tensor } from '../../tensor/index.ts'
import { LayerAdapter } from '../layer-adapter.ts'
import type { BottleneckLayer } from './layer.ts'

type Way = (input: Tensor, ...more: never[]) => Tensor

/** Initial weight of other units in a value: with exact zeros, every one of them would start alike. */
const offDiagonal = 1e-6

/** Combines the bottlenecks of one layer. */
export class FusionLayer extends LayerAdapter<Module, Way> {
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
