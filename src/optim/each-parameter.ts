// Applies an update rule written with plain operators to one parameter at a time, so that temporary memory stays small.
import { scope, type Tensor } from '../tensor/index.ts'
import type { ParameterUpdate } from './optimizer.ts'

/** Calls `body` with each gradient in float32, which it must not change, and then rounds the bfloat16 copy. */
export const eachParameter = (
  updates: readonly ParameterUpdate[],
  body: (update: ParameterUpdate, gradient: Tensor) => void,
): void => {
  for (const update of updates)
    scope(() => {
      // Row-major, so that the bits of sums do not depend on the gradient's memory layout.
      const gradient = update.gradient.to('float32').contiguous()
      body(update, gradient)
      update.copy?.copy_(update.weight)
    })
}

/** The scaled gradient, for rules that square it: the square of an unclipped gradient could overflow. */
export const scaled = (gradient: Tensor, scale: number): Tensor => (scale === 1 ? gradient : gradient.mul(scale))
