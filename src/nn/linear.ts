// A linear layer: `y = x Wᵀ + b`.
import { empty, keep, linear, type Tensor } from '../tensor/index.ts'
import { type Initialization, Module } from './module.ts'

export class Linear extends Module {
  /** [outputs, inputs] */
  weight: Tensor
  /** [outputs] */
  bias?: Tensor
  readonly #scale: number
  readonly #tied: boolean

  /**
   * @param options.initialScale multiplies the standard deviation: GPT-2 scales what writes to the residual stream
   * @param options.tied another layer's matrix, used here too and initialised there
   */
  constructor(inputs: number, outputs: number, options: { bias?: boolean; initialScale?: number; tied?: Tensor } = {}) {
    super()
    this.weight = options.tied ?? keep(empty([outputs, inputs]))
    this.#tied = options.tied !== undefined
    if (options.bias ?? true) this.bias = keep(empty([outputs]))
    this.#scale = options.initialScale ?? 1
  }

  /** [..., inputs] -> [..., outputs] */
  forward(input: Tensor): Tensor {
    return linear(input, this.weight, this.bias ?? null)
  }

  protected override reset({ std, generator }: Initialization): void {
    if (!this.#tied) this.weight.normal_(0, std * this.#scale, { generator })
    this.bias?.zero_()
  }
}
