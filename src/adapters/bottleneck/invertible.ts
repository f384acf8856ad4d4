// MAD-X's invertible adapter, a NICE coupling block: it changes the embedded tokens, and its inverse, of the same weights, changes
// what the output layer reads, so that tied embeddings fit both. @source arXiv:2005.00052, section 4.3; arXiv:1410.8516
import { ConfigError } from '../../core/index.ts'
import { LanguageHead, type Model } from '../../models/index.ts'
import { type ActivationName, activations, Linear, Module } from '../../nn/index.ts'
import { cat, type Generator, type Tensor } from '../../tensor/index.ts'
import type { Placement } from '../adapter.ts'
import { LayerAdapter } from '../layer-adapter.ts'

type Way = (input: Tensor) => Tensor

/** Turns one half of the elements into what is added to the other half; it starts as zero. */
class Coupling extends Module {
  down: Linear
  up: Linear
  readonly #activation: ActivationName

  constructor([inputs, outputs]: readonly [number, number], { activation, reduction }: InvertibleShape) {
    super()
    const size = Math.max(1, Math.floor(inputs / reduction))
    this.down = new Linear(inputs, size)
    this.up = new Linear(size, outputs)
    this.#activation = activation
  }

  start(generator: Generator): void {
    this.down.initialize({ std: 0.02, generator })
    this.up.weight.zero_()
    this.up.bias?.zero_()
  }

  forward(half: Tensor): Tensor {
    return this.up.forward(activations[this.#activation](this.down.forward(half)))
  }
}

export interface InvertibleShape {
  activation: ActivationName
  /** Units of a half over those within its coupling. */
  reduction: number
}

/** The invertible adapter after the embeddings; with `inverse`, what undoes it before the output layer. */
export class InvertibleLayer extends LayerAdapter<Module, Way> {
  /** Of the second half, added to the first. */
  first: Coupling
  /** Of the changed first half, added to the second. */
  second: Coupling
  readonly #widths: readonly [number, number]

  constructor({ body }: Model, shape: InvertibleShape, generator: Generator) {
    super()
    const { dtype, device, shape: table } = body.embedTokens
    const half = Math.floor(table[1] / 2)
    this.#widths = [half, table[1] - half]
    const [one, other] = this.#widths
    this.first = new Coupling([other, one], shape)
    this.second = new Coupling([one, other], shape)
    for (const coupling of [this.first, this.second]) coupling.start(generator)
    this.to({ dtype, device })
  }

  override get rowWise(): boolean {
    return true
  }

  #halves(input: Tensor): [Tensor, Tensor] {
    const [one, other] = this.#widths
    return [input.narrow(-1, 0, one), input.narrow(-1, one, other)]
  }

  /** [...,W] -> [...,W] */
  change(input: Tensor): Tensor {
    const [one, other] = this.#halves(input)
    const changed = one.add(this.first.forward(other))
    return cat([changed, other.add(this.second.forward(changed))], -1)
  }

  /** What `change` gives -> its input. */
  undo(changed: Tensor): Tensor {
    const [one, other] = this.#halves(changed)
    const before = other.sub(this.second.forward(one))
    return cat([one.sub(this.first.forward(before)), before], -1)
  }

  wrap(_: Module, next: Way): Way {
    return (input) => this.change(next(input))
  }
}

/** The inverse of an invertible adapter, whose tensors are not its own. */
class InverseLayer extends LayerAdapter<Module, Way> {
  readonly #layer: InvertibleLayer

  constructor(layer: InvertibleLayer) {
    super()
    this.#layer = layer
  }

  /** The input is undone from the upper adapters to the lower ones. */
  wrap(_: Module, next: Way): Way {
    return (prepared) => next(this.#layer.undo(prepared))
  }
}

/**
 * Inserts an invertible adapter after the embeddings, and its inverse before each output layer of the head.
 * @throws ConfigError for a body with two stacks, whose embeddings have two places
 */
export const attachInvertible = (model: Model, shape: InvertibleShape, generator: Generator): Placement[] => {
  const { body, head, definition } = model
  if (body.dropout === undefined)
    throw new ConfigError(
      `\`adapter.invertible\` needs a model with one stack of layers, got ${definition.type}, whose encoder and decoder share the embeddings. Leave it out.`,
    )
  const layer = new InvertibleLayer(model, shape, generator)
  const heads = [...head.modules('head')].filter(
    (entry): entry is [string, LanguageHead] => entry[1] instanceof LanguageHead,
  )
  return [
    { path: 'body.dropout', host: body.dropout, adapter: layer },
    ...heads.map(([path, { outputInput }]) => ({
      path: `${path}.outputInput`,
      host: outputInput,
      adapter: new InverseLayer(layer),
    })),
  ]
}
