// Shared by the tests of adapters: what a small model gives for fixed ids, how far two outputs are apart, and weights that have learned.
import type { Model } from '../../src/models/index.ts'
import { Generator, noGrad, type Tensor, tensor } from '../../src/tensor/index.ts'
import { placed } from '../device.ts'

/** int64 [2,3] */
export const ids = placed(tensor(BigInt64Array.from([5, 6, 7, 8, 9, 10], BigInt), { shape: [2, 3] }))

export const logitsOf = (model: Model) => noGrad(() => model.forward({ inputIds: ids }).logits.toFloat32Array())

export const apart = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i])))

/** As if it had learned something. */
export const stir = (trainable: ReadonlyMap<string, Tensor>, seed = 1) =>
  noGrad(() => {
    const generator = new Generator(seed)
    for (const value of trainable.values()) value.detach().add_(value.mul(0).normal_(0, 0.2, { generator }))
  })
