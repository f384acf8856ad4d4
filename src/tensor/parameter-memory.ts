// Exchanges the memory behind a tensor that others refer to: a parameter of which a process has only a part between two uses.
import { noGrad } from './autograd.ts'
import { callable } from './operator.ts'
import { scope } from './scope.ts'
import type { Tensor } from './tensor.ts'

const setData = callable('setData', { overloads: ['aten::set_data(self, new_data)'] })

/**
 * Gives a tensor the memory of another one of its shape and dtype. Gradient, hooks and every reference to it stay, and graphs that were
 * recorded before keep the memory that they use.
 */
export const setMemory = (tensor: Tensor, other: Tensor): void => {
  noGrad(() => setData(tensor, other))
}

/** Takes a tensor's memory away: it keeps shape and dtype, and all of its elements are the one of `element`, a tensor []. */
export const dropMemory = (tensor: Tensor, element: Tensor): void =>
  scope(() => setMemory(tensor, element.expand(tensor.shape)))
