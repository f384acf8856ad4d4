// A trained factor for each unit that a linear layer gives, or that it gets. Starts as no change.
import type { Linear } from '../../nn/index.ts'
import { keep, ones, type Tensor } from '../../tensor/index.ts'
import { LayerAdapter } from '../layer-adapter.ts'

type Way = (input: Tensor) => Tensor

export class Ia3Layer extends LayerAdapter<Linear, Way> {
  /** [outputs], or [inputs] */
  scale: Tensor
  readonly #ofInput: boolean

  /** @param shared one tensor for all layers that are one matrix in files */
  constructor({ shape, dtype, device }: Linear, ofInput: boolean, shared?: Tensor) {
    super()
    this.#ofInput = ofInput
    this.scale = shared ?? keep(ones([shape[ofInput ? 1 : 0]], { dtype, device }))
  }

  get ofInput(): boolean {
    return this.#ofInput
  }

  wrap(_: Linear, next: Way): Way {
    return this.#ofInput ? (input) => next(input.mul(this.scale)) : (input) => next(input).mul(this.scale)
  }

  override merged({ weight, bias }: Linear): Record<string, Tensor> {
    if (this.#ofInput) return { weight: weight.mul(this.scale) }
    const changed = { weight: weight.mul(this.scale.unsqueeze(1)) }
    return bias === undefined ? changed : { ...changed, bias: bias.mul(this.scale) }
  }
}
