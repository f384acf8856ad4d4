// Initial values that several changes of matrices have. Independent of methods.
import type { Generator, Tensor } from '../../tensor/index.ts'

/** The values that PyTorch gives a linear layer: uniform, up to the inverse root of the columns. */
export const initializeUniform = (tensor: Tensor, generator: Generator): Tensor => {
  const bound = tensor.shape[1] ** -0.5
  return tensor.uniform_(-bound, bound, { generator })
}
