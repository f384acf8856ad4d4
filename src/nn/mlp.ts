// Feed-forward blocks: plain, and gated.
import { scope, swiglu, type Tensor } from '../tensor/index.ts'
import { type ActivationName, activations } from './activation.ts'
import { Dropout } from './dropout.ts'
import { Linear } from './linear.ts'
import { Module } from './module.ts'

/** A feed-forward block. */
export abstract class Mlp extends Module {
  /** [...,C] -> [...,C] */
  abstract forward(input: Tensor): Tensor
  /** Name of the function after the up or gate projection. */
  abstract readonly activation: ActivationName
}

interface MlpOptions {
  hidden: number
  intermediate: number
  activation: ActivationName
  bias?: boolean
  outputScale?: number
  /** Dropout before the down projection (T5). */
  innerDropout?: number
}

/** `down(activation(up(x)))` */
export class PlainMlp extends Mlp {
  upProj: Linear
  downProj: Linear
  dropout: Dropout
  readonly #activation: ActivationName

  constructor({ hidden, intermediate, activation, bias = true, outputScale = 1, innerDropout = 0 }: MlpOptions) {
    super()
    this.upProj = new Linear(hidden, intermediate, { bias })
    this.downProj = new Linear(intermediate, hidden, { bias, initialScale: outputScale })
    this.dropout = new Dropout(innerDropout)
    this.#activation = activation
  }

  get activation(): ActivationName {
    return this.#activation
  }

  forward(input: Tensor): Tensor {
    // Free the up projection's output before the down projection where autograd does not hold it.
    const wide = scope(() => activations[this.#activation](this.upProj.forward(input)))
    return this.downProj.forward(this.dropout.forward(wide))
  }
}

/** `down(activation(gate(x)) * up(x))` @source arXiv:2002.05202 */
export class GatedMlp extends Mlp {
  gateProj: Linear
  upProj: Linear
  downProj: Linear
  dropout: Dropout
  readonly #activation: ActivationName

  constructor({ hidden, intermediate, activation, bias = false, outputScale = 1, innerDropout = 0 }: MlpOptions) {
    super()
    this.gateProj = new Linear(hidden, intermediate, { bias })
    this.upProj = new Linear(hidden, intermediate, { bias })
    this.downProj = new Linear(intermediate, hidden, { bias, initialScale: outputScale })
    this.dropout = new Dropout(innerDropout)
    this.#activation = activation
  }

  get activation(): ActivationName {
    return this.#activation
  }

  forward(input: Tensor): Tensor {
    const wide = scope(() => {
      const gate = this.gateProj.forward(input)
      const up = this.upProj.forward(input)
      const fused = activations[this.#activation] === activations.silu
      return fused ? swiglu(gate, up) : activations[this.#activation](gate).mul(up)
    })
    return this.downProj.forward(this.dropout.forward(wide))
  }
}
