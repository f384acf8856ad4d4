// Layer norm and RMS norm, alone or fused with the addition before them.
import { addLayerNorm, addRmsNorm, type Tensor } from '../tensor/index.ts'
import { Module } from './module.ts'
import { parameter } from './parameter.ts'

/** A normalisation over the last dimension. */
export abstract class Norm extends Module {
  /** [...,C] -> [...,C] */
  abstract forward(input: Tensor): Tensor
  /** The sum of input and residual (or the input, where it is null), and the normalised sum. */
  abstract add(input: Tensor, residual: Tensor | null): [sum: Tensor, normalized: Tensor]
  /** What is added to the variance, or to the mean square. */
  abstract readonly eps: number
}

/**
 * Layer normalisation over the last dimension. Its parameters are not set until `initialize` or `loadState`, see `Module`.
 * @source arXiv:1607.06450
 */
export class LayerNorm extends Norm {
  weight: Tensor
  bias?: Tensor
  readonly eps: number

  constructor(size: number, options: { eps?: number; bias?: boolean } = {}) {
    super()
    this.weight = parameter([size])
    if (options.bias ?? true) this.bias = parameter([size])
    this.eps = options.eps ?? 1e-5
  }

  forward(input: Tensor): Tensor {
    return this.add(input, null)[1]
  }

  add(input: Tensor, residual: Tensor | null): [Tensor, Tensor] {
    return addLayerNorm(input, residual, this.weight, this.bias ?? null, this.eps)
  }

  protected override reset(): void {
    this.weight.fill_(1)
    this.bias?.zero_()
  }
}

/**
 * RMS normalisation over the last dimension. Its parameters are not set until `initialize` or `loadState`, see `Module`.
 * @source arXiv:1910.07467
 */
export class RmsNorm extends Norm {
  weight: Tensor
  readonly eps: number
  /** What is added to the weight. */
  readonly offset: number

  /** @param options.offset added to the weight, which is stored without it (Gemma: 1; default: 0) */
  constructor(size: number, options: { eps?: number; offset?: number } = {}) {
    super()
    this.weight = parameter([size])
    this.eps = options.eps ?? 1e-6
    this.offset = options.offset ?? 0
  }

  forward(input: Tensor): Tensor {
    return this.add(input, null)[1]
  }

  add(input: Tensor, residual: Tensor | null): [Tensor, Tensor] {
    const weight = this.offset === 0 ? this.weight : this.weight.add(this.offset)
    return addRmsNorm(input, residual, weight, this.eps)
  }

  protected override reset(): void {
    this.weight.fill_(1 - this.offset)
  }
}
