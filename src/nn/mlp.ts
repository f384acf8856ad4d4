// The two shapes of feed-forward block: plain, and gated.
import { swiglu, type Tensor } from '../tensor/index.ts'
import { type ActivationName, activations } from './activation.ts'
import { Linear } from './linear.ts'
import { Module } from './module.ts'

export abstract class Mlp extends Module {
  abstract forward(input: Tensor): Tensor
}

interface MlpOptions {
  hidden: number
  intermediate: number
  activation: ActivationName
  bias?: boolean
  outputScale?: number
}

/** `down(activation(up(x)))` */
export class PlainMlp extends Mlp {
  upProj: Linear
  downProj: Linear
  readonly #activation: ActivationName

  constructor({ hidden, intermediate, activation, bias = true, outputScale = 1 }: MlpOptions) {
    super()
    this.upProj = new Linear(hidden, intermediate, { bias })
    this.downProj = new Linear(intermediate, hidden, { bias, initialScale: outputScale })
    this.#activation = activation
  }

  forward(input: Tensor): Tensor {
    return this.downProj.forward(activations[this.#activation](this.upProj.forward(input)))
  }
}

/** `down(activation(gate(x)) * up(x))` @source arXiv:2002.05202 */
export class GatedMlp extends Mlp {
  gateProj: Linear
  upProj: Linear
  downProj: Linear
  readonly #activation: ActivationName

  constructor({ hidden, intermediate, activation, bias = false, outputScale = 1 }: MlpOptions) {
    super()
    this.gateProj = new Linear(hidden, intermediate, { bias })
    this.upProj = new Linear(hidden, intermediate, { bias })
    this.downProj = new Linear(intermediate, hidden, { bias, initialScale: outputScale })
    this.#activation = activation
  }

  forward(input: Tensor): Tensor {
    const gate = this.gateProj.forward(input)
    const up = this.upProj.forward(input)
    const fused = activations[this.#activation] === activations.silu
    return this.downProj.forward(fused ? swiglu(gate, up) : activations[this.#activation](gate).mul(up))
  }
}
