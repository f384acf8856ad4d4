// Activation functions by the names that Hugging Face configs use.
import { fusedGelu, type Tensor } from '../tensor/index.ts'

export type Activation = (input: Tensor) => Tensor

const geluTanh: Activation = (input) => fusedGelu(input, { approximate: 'tanh' })

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

export type ActivationName = keyof typeof activations
export const activationNames = Object.keys(activations) as ActivationName[]
