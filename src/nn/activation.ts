// Activation functions by their names in Hugging Face configs.
import { type FusedActivation, fusedGelu, type Tensor } from '../tensor/index.ts'

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
