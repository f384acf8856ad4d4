// The last layer of a head that scores labels, tokens or rows. In bfloat16 its few outputs would have steps of 8 bits, and answers that
// differ would tie; so it computes in float32, whose cost next to a body is nothing.
import { Linear } from '../../nn/index.ts'
import { linear, type Tensor } from '../../tensor/index.ts'

export class ScoreLayer extends Linear {
  /** [..., inputs] -> float32 [..., outputs], also of weights and inputs in bfloat16 */
  override forward(input: Tensor): Tensor {
    return this.#wide(input, this.bias) ?? super.forward(input)
  }

  override product(input: Tensor): Tensor {
    return this.#wide(input) ?? super.product(input)
  }

  #wide(input: Tensor, bias?: Tensor): Tensor | undefined {
    if (this.dtype === 'float32') return undefined
    return linear(input.to('float32'), this.weight.to('float32'), bias?.to('float32') ?? null)
  }
}
