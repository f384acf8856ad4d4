// Compares a fused operator with its plain composition in float64, values and gradients. Knows no operator.
import { expect } from 'vitest'
import { type Dtype, Generator, gradients, randn, scope, Tensor, zerosLike } from '../../src/tensor/index.ts'

export const generator = new Generator(20261125)
export const both: Dtype[] = ['float32', 'bfloat16']
export const leaf = (shape: readonly number[], dtype: Dtype, scale = 1): Tensor => {
  const made = randn(shape, { generator }).mul(scale).to({ dtype })
  made.requiresGrad = true
  return made
}
export const double = (x: Tensor): Tensor => x.detach().to({ dtype: 'float64' })
export const asRounded = (x: Tensor, dtype: Dtype): Tensor => x.add(double(x.detach().to({ dtype })).sub(x.detach()))

/** Largest difference relative to the larger of 1 and the largest reference value. */
export const distance = (actual: Tensor, expected: Tensor): number => {
  expect(actual.shape).toEqual(expected.shape)
  if (actual.size === 0) return 0
  const reference = double(expected)
  const worst = double(actual).sub(reference).abs().max().item()
  return worst / Math.max(1, reference.abs().max().item())
}

export type Fused = (...inputs: Tensor[]) => Tensor | readonly Tensor[]

/** Values and gradients of a fused operator and of its composition, which runs in float64 on the same inputs. */
export const compare = (inputs: readonly Tensor[], fused: Fused, composed: Fused, limit = 1): void =>
  scope(() => {
    const listed = (result: Tensor | readonly Tensor[]) => (result instanceof Tensor ? [result] : [...result])
    const half = inputs.some(({ dtype }) => dtype === 'bfloat16')
    const tolerance = (half ? 1.2e-2 : 4e-6) * limit
    const outputs = listed(fused(...inputs))
    const mirrors = inputs.map((input) => {
      const mirror = double(input)
      mirror.requiresGrad = true
      return mirror
    })
    const references = listed(composed(...mirrors))
    const weights = outputs.map((output) => randn(output.shape, { generator }).to({ dtype: output.dtype }))
    for (const [i, output] of outputs.entries())
      expect(distance(output, references[i]), `output ${i}`).toBeLessThan(tolerance)
    if (outputs.every(({ requiresGrad }) => !requiresGrad)) return
    const actual = gradients(outputs, inputs, { gradients: weights })
    const expected = gradients(references, mirrors, { gradients: weights.map(double) })
    for (const [i, input] of inputs.entries()) {
      const mine = actual[i] ?? zerosLike(input)
      expect(mine.dtype).toBe(input.dtype)
      expect(distance(mine, expected[i] ?? zerosLike(mirrors[i])), `gradient ${i}`).toBeLessThan(tolerance)
    }
  })
