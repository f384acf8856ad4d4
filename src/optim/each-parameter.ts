// The frame of every rule that is composed of operators: one parameter at a time, so that the memory of one is in use.
import { scope, type Tensor } from '../tensor/index.ts'
import type { ParameterUpdate } from './optimizer.ts'

/** Calls `body` with each gradient in float32 (which may be the caller's own: not to be changed), then rounds the copy. */
export const eachParameter = (
  updates: readonly ParameterUpdate[],
  body: (update: ParameterUpdate, gradient: Tensor) => void,
): void => {
  for (const update of updates)
    scope(() => {
      // In one order of memory, so that the bits of sums and products do not depend on how the gradient lies.
      const gradient = update.gradient.to('float32').contiguous()
      body(update, gradient)
      update.copy?.copy_(update.weight)
    })
}

/** For rules that square gradients: the square of one that is yet to be clipped might overflow. Others put the scale in a factor. */
export const scaled = (gradient: Tensor, scale: number): Tensor => (scale === 1 ? gradient : gradient.mul(scale))
