// The frame of every rule that is composed of operators: one parameter at a time, so that the memory of one is in use.
import { scope, type Tensor } from '../tensor/index.ts'
import type { ParameterUpdate } from './optimizer.ts'

/** Calls `body` with each float32 scaled gradient (which may be the caller's own: not to be changed), then rounds the copy. */
export const eachParameter = (
  updates: readonly ParameterUpdate[],
  scale: number,
  body: (update: ParameterUpdate, gradient: Tensor) => void,
): void => {
  for (const update of updates)
    scope(() => {
      // In one order of memory, so that the bits of sums and products do not depend on how the gradient lies.
      const gradient = update.gradient.to('float32').contiguous()
      body(update, scale === 1 ? gradient : gradient.mul(scale))
      update.copy?.copy_(update.weight)
    })
}
