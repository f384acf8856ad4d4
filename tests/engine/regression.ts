// Linear regression: a short computation whose result is known to the bit, for several threads to run at once.
import { Generator, randn, scope, type Tensor } from '../../src/tensor/index.ts'

/** Forty steps of linear regression from seed 1; the final weights. */
export const trainRegression = (): number[] => {
  const generator = new Generator(1)
  return scope(() => {
    const [x, target] = [randn([64, 32], { generator }), randn([64, 8], { generator })]
    let weights = randn([32, 8], { generator })
    for (let i = 0; i < 40; i++) {
      const leaf = weights.detach()
      leaf.requiresGrad = true
      x.matmul(leaf).mseLoss(target).backward()
      weights = leaf.detach().sub(leaf.grad as Tensor, { alpha: 0.1 })
    }
    return [...weights.toFloat32Array()]
  })
}
