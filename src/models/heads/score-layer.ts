// The output layer of heads with labels. It computes in float32, since logits in bfloat16 have 8 bits of precision and would
// tie; the cost is negligible next to the body.
import { Linear } from '../../nn/index.ts'
import { linear, type Tensor } from '../../tensor/index.ts'

/** A linear layer that computes in float32 whatever its weights' dtype. */
export class ScoreLayer extends Linear {
  /** [..., inputs] -> float32 [..., outputs], also for weights and inputs in bfloat16. */
  override forward(input: Tensor): Tensor {
    return this.#wide(input, this.bias) ?? super.forward(input)
  }

  override product(input: Tensor): Tensor {
    return this.#wide(input) ?? super.product(input)
  }

  override withLowRank(): undefined {
    return undefined
  }

  #wide(input: Tensor, bias?: Tensor): Tensor | undefined {
    if (this.dtype === 'float32') return undefined
    return linear(input.to('float32'), this.weight.to('float32'), bias?.to('float32') ?? null)
  }
}
