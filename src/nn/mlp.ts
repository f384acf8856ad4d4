// Activation functions, and feed-forward blocks: plain, and gated.
import {
  activatedLinear,
  type FusedActivation,
  fusedGelu,
  geglu,
  gradEnabled,
  scope,
  swiglu,
  type Tensor,
} from '../tensor/index.ts'
import { Dropout } from './dropout.ts'
import { Linear } from './linear.ts'
import { Module } from './module.ts'

/** A function of each element; the shape stays. */
export type Activation = (input: Tensor) => Tensor

const geluTanh: Activation = (input) => fusedGelu(input, { approximate: 'tanh' })

/** Activation functions by name. */
export const activations = {
  gelu: (input) => fusedGelu(input),
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu_fast: geluTanh,
  quick_gelu: (input) => input.mul(input.mul(1.702).sigmoid()),
  relu: (input) => input.relu(),
  silu: (input) => input.silu(),
  swish: (input) => input.silu(),
  tanh: (input) => input.tanh(),
  sigmoid: (input) => input.sigmoid(),
} as const satisfies Record<string, Activation>

/** Those that fused operators have, by their name there. */
export const fusedActivations: { readonly [Name in ActivationName]?: FusedActivation } = {
  gelu: 'gelu',
  gelu_new: 'gelu-tanh',
  gelu_pytorch_tanh: 'gelu-tanh',
  gelu_fast: 'gelu-tanh',
  silu: 'silu',
  swish: 'silu',
}

/** Name of an activation function. */
export type ActivationName = keyof typeof activations
/** All names. */
export const activationNames = Object.keys(activations) as ActivationName[]

/** A feed-forward block. */
export abstract class Mlp extends Module {
  /** [...,C] -> [...,C] */
  abstract forward(input: Tensor): Tensor
  /** Name of the function after the up or gate projection. */
  abstract readonly activation: ActivationName
}

/** `activation(gate) * up`, by one operator where there is one. */
const gated = (activation: ActivationName, gate: Tensor, up: Tensor): Tensor => {
  const name = fusedActivations[activation]
  if (name === undefined) return activations[activation](gate).mul(up)
  return name === 'silu' ? swiglu(gate, up) : geglu(gate, up, { approximate: name === 'gelu' ? 'none' : 'tanh' })
}

/**
 * Activation and down projection in one operator, which keeps nothing between them for the backward pass: undefined where something else
 * lies between, and without gradients, where the operators one by one need less memory.
 */
const fusedDown = (mlp: { activation: ActivationName; downProj: Linear; dropout: Dropout }) => {
  const { downProj, dropout } = mlp
  const name = fusedActivations[mlp.activation]
  if (name === undefined || !gradEnabled() || !dropout.isIdle || !downProj.isPlain) return undefined
  return (gate: Tensor, up: Tensor | null): Tensor =>
    activatedLinear(gate, up, downProj.weight, downProj.bias ?? null, name)
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

/** `down(activation(up(x)))`. Its parameters are not set until `initialize` or `loadState`, see `Module`. */
export class PlainMlp extends Mlp {
  upProj: Linear
  downProj: Linear
  dropout: Dropout
  readonly activation: ActivationName

  constructor({ hidden, intermediate, activation, bias = true, outputScale = 1, innerDropout = 0 }: MlpOptions) {
    super()
    this.upProj = new Linear(hidden, intermediate, { bias })
    this.downProj = new Linear(intermediate, hidden, { bias, initialScale: outputScale })
    this.dropout = new Dropout(innerDropout)
    this.activation = activation
  }

  forward(input: Tensor): Tensor {
    // What lies between is freed at once where autograd does not hold it.
    const down = fusedDown(this)
    if (down !== undefined) return scope(() => down(this.upProj.forward(input), null))
    const wide = scope(() => activations[this.activation](this.upProj.forward(input)))
    return this.downProj.forward(this.dropout.forward(wide))
  }
}

/**
 * `down(activation(gate(x)) * up(x))`. Its parameters are not set until `initialize` or `loadState`, see `Module`.
 * @source arXiv:2002.05202
 */
export class GatedMlp extends Mlp {
  gateProj: Linear
  upProj: Linear
  downProj: Linear
  dropout: Dropout
  readonly activation: ActivationName

  constructor({ hidden, intermediate, activation, bias = false, outputScale = 1, innerDropout = 0 }: MlpOptions) {
    super()
    this.gateProj = new Linear(hidden, intermediate, { bias })
    this.upProj = new Linear(hidden, intermediate, { bias })
    this.downProj = new Linear(intermediate, hidden, { bias, initialScale: outputScale })
    this.dropout = new Dropout(innerDropout)
    this.activation = activation
  }

  forward(input: Tensor): Tensor {
    const down = fusedDown(this)
    if (down !== undefined) return scope(() => down(this.gateProj.forward(input), this.upProj.forward(input)))
    const wide = scope(() => gated(this.activation, this.gateProj.forward(input), this.upProj.forward(input)))
    return this.downProj.forward(this.dropout.forward(wide))
  }
}
