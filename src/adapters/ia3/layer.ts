// A trained factor for each output or input unit of a linear layer, initially 1.
import type { Linear } from '../../nn/index.ts'
import { keep, ones, type Tensor } from '../../tensor/index.ts'
import { LayerAdapter } from '../layer-adapter.ts'

type Way = (input: Tensor) => Tensor

/** Scales the output or input of a linear layer. */
export class Ia3Layer extends LayerAdapter<Linear, Way> {
  /** [outputs], or [inputs] */
  scale: Tensor
  readonly #onInput: boolean

  /** @param shared tensor shared by layers that are fused in files */
  constructor({ shape, dtype, device }: Linear, onInput: boolean, shared?: Tensor) {
    super()
    this.#onInput = onInput
    this.scale = shared ?? keep(ones([shape[onInput ? 1 : 0]], { dtype, device }))
  }

  override get rowWise(): boolean {
    return true
  }

  /** Whether the input is scaled instead of the output. */
  get onInput(): boolean {
    return this.#onInput
  }

  wrap(_: Linear, next: Way): Way {
    return this.#onInput ? (input) => next(input.mul(this.scale)) : (input) => next(input).mul(this.scale)
  }

  override merged({ weight, bias }: Linear): Record<string, Tensor> {
    if (this.#onInput) return { weight: weight.mul(this.scale) }
    const changed = { weight: weight.mul(this.scale.unsqueeze(1)) }
    return bias === undefined ? changed : { ...changed, bias: bias.mul(this.scale) }
  }
}
