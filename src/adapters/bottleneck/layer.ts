// A bottleneck: a projection to a few units, an activation, and a projection back, added to the output of a layer. It
// reads the layer's output, or its input if it is parallel. The second projection is initially zero, so that nothing
// changes.
import { type ActivationName, activations, Linear, type Module } from '../../nn/index.ts'
import type { Dtype, Generator, Tensor } from '../../tensor/index.ts'
import { LayerAdapter } from '../layer-adapter.ts'

/** Size and placement of a bottleneck. */
export interface BottleneckShape {
  size: number
  activation: ActivationName
  scale: number
  /** Reads the layer's input instead of its output. */
  parallel: boolean
}

type Way = (input: Tensor, ...more: never[]) => Tensor

/** A bottleneck adapter. */
export class BottleneckLayer extends LayerAdapter<Module, Way> {
  down: Linear
  up: Linear
  readonly #shape: Readonly<BottleneckShape>
  #dropped = false

  /** @param width of the layer's input and output */
  constructor(width: number, like: { dtype: Dtype; device: string }, shape: BottleneckShape, generator: Generator) {
    super()
    this.#shape = shape
    this.down = new Linear(width, shape.size)
    this.up = new Linear(shape.size, width)
    this.down.initialize({ std: 0.02, generator })
    this.up.weight.zero_()
    this.up.bias?.zero_()
    this.to({ dtype: like.dtype, device: like.device })
  }

  override get rowWise(): boolean {
    return true
  }

  /** What it adds to the output of its layer. */
  added(input: Tensor, output: Tensor): Tensor {
    const { activation, scale, parallel } = this.#shape
    const narrow = activations[activation](this.down.forward(parallel ? input : output))
    return this.up.forward(scale === 1 ? narrow : narrow.mul(scale))
  }

  /** Leaves it out of the forward passes from now on, or no longer. */
  drop(dropped: boolean): void {
    this.#dropped = dropped
  }

  wrap(_: Module, next: Way): Way {
    return (input, ...more) => {
      const own = next(input, ...more)
      return this.#dropped ? own : own.add(this.added(input, own))
    }
  }
}
