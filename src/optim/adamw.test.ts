// AdamW on the CPU, in one fused loop, and on a device without such a kernel are one rule.
import { expect, it } from 'vitest'
import { enableStrictDevice, Generator, gradNorm, noGrad, randn, type Tensor, zeros } from '../tensor/index.ts'
import { type AdamwSettings, adamwUpdate } from './adamw.ts'
import type { ParameterUpdate } from './optimizer.ts'

const settings: AdamwSettings = { beta1: 0.8, beta2: 0.95, eps: 1e-6 }
const shapes = [[40, 30], [70], [0], [1]]

it.each(['float32', 'bfloat16'] as const)('%s: devices agree over five steps', (dtype) => {
  const run = (device: string) => {
    const generator = new Generator(3)
    const states = shapes.map((shape) => ({
      weight: randn(shape, { generator }).to({ device }),
      copy: dtype === 'bfloat16' ? zeros(shape, { dtype, device }) : undefined,
      slots: { first_moment: zeros(shape, { device }), second_moment: zeros(shape, { device }) },
    }))
    for (let count = 1; count <= 5; count++) {
      const updates = states.map(
        (state, i): ParameterUpdate => ({
          ...state,
          path: String(i),
          shape: shapes[i],
          hiddenMatrix: false,
          gradient: randn(shapes[i], { generator }).to({ dtype, device }),
          learningRate: 0.01 * (i + 1),
          weightDecay: 0.1 * i,
          count: count + i,
        }),
      )
      noGrad(() => adamwUpdate(settings, updates, 0.3))
    }
    return states
  }
  enableStrictDevice()
  const [fused, composed] = [run('cpu'), run('strict')]
  const close = (a: Tensor, b: Tensor) =>
    expect(a.allclose(b.to({ device: 'cpu' }), { rtol: 1e-5, atol: 1e-6 })).toBe(true)
  fused.forEach((state, i) => {
    close(state.weight, composed[i].weight)
    close(state.slots.first_moment, composed[i].slots.first_moment)
    close(state.slots.second_moment, composed[i].slots.second_moment)
    if (dtype === 'bfloat16') {
      expect(state.copy!.equal(state.weight.to('bfloat16'))).toBe(true)
      expect(composed[i].copy!.equal(composed[i].weight.to('bfloat16'))).toBe(true)
    }
  })
})

it('measures the norm over all gradients together', () => {
  const generator = new Generator(4)
  const gradients = shapes.map((shape) => randn(shape, { generator }))
  const square = gradients.reduce((sum, g) => sum + g.to('float64').square().sum().item(), 0)
  expect(gradNorm(gradients).item() / Math.sqrt(square)).toBeCloseTo(1, 6)
})
