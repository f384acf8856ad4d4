// Activation functions of native/kernels, alone and before a linear layer, against compositions in float64.
// instruction-sets.test.ts runs this file again with the other vector code.
import { describe, expect, it } from 'vitest'
import { both, compare, type Fused, leaf } from '../../tests/parity/compare-fused.ts'
import {
  activatedLinear,
  type FusedActivation,
  fusedGelu,
  geglu,
  gradients,
  linear,
  softCap,
  swiglu,
  type Tensor,
} from './index.ts'

const composedLinear = (x: Tensor, w: Tensor, b?: Tensor): Tensor => {
  const y = x.matmul(w.t())
  return b === undefined ? y : y.add(b)
}

describe.each(both)('%s', (dtype) => {
  it.each(['none', 'tanh'] as const)('gelu %s', (approximate) => {
    for (const shape of [[0, 3], [1], [7, 129], [3, 20000]])
      compare(
        [leaf(shape, dtype, 3)],
        (x) => fusedGelu(x, { approximate }),
        (x) => x.gelu({ approximate }),
      )
  })
  it('softCap', () => {
    for (const shape of [[0, 3], [1], [7, 129]])
      for (const cap of [0.5, 30])
        compare(
          [leaf(shape, dtype, 3)],
          (x) => softCap(x, cap),
          (x) => x.div(cap).tanh().mul(cap),
        )
  })
  it('swiglu', () => {
    for (const shape of [[0, 3], [1], [7, 129]])
      compare([leaf(shape, dtype, 2), leaf(shape, dtype)], swiglu, (gate, up) => gate.silu().mul(up))
  })
  it.each(['none', 'tanh'] as const)('geglu %s', (approximate) => {
    for (const shape of [[0, 3], [1], [7, 129]])
      compare(
        [leaf(shape, dtype, 2), leaf(shape, dtype)],
        (gate, up) => geglu(gate, up, { approximate }),
        (gate, up) => gate.gelu({ approximate }).mul(up),
      )
  })
  const curves = {
    silu: (x: Tensor) => x.silu(),
    gelu: (x: Tensor) => x.gelu(),
    'gelu-tanh': (x: Tensor) => x.gelu({ approximate: 'tanh' }),
  }
  describe.each(Object.entries(curves))('activatedLinear with %s', (name, curve) => {
    const activation = name as FusedActivation
    it('is the layer of the activated input', () => {
      for (const [rows, depth, columns] of [
        [0, 3, 2],
        [1, 1, 1],
        [7, 129, 33],
        [2, 20_000, 3],
        [150, 96, 70],
      ]) {
        const [gate, up] = [leaf([rows, depth], dtype, 2), leaf([rows, depth], dtype)]
        const [w, b] = [leaf([columns, depth], dtype, depth ** -0.5), leaf([columns], dtype)]
        const composed: Fused = (gate, up, w, b) => composedLinear(curve(gate).mul(up), w, b)
        compare([gate, up, w, b], (gate, up, w, b) => activatedLinear(gate, up, w, b, activation), composed, 2)
        const alone: Fused = (gate, w) => composedLinear(curve(gate), w)
        compare([gate, w], (gate, w) => activatedLinear(gate, null, w, null, activation), alone, 2)
      }
      const turned: (fused: Fused) => Fused = (fused) => (gate, up, w) => fused(gate.t(), up.t(), w)
      const layer: Fused = (gate, up, w) => activatedLinear(gate, up, w, null, activation)
      const reference: Fused = (gate, up, w) => composedLinear(curve(gate).mul(up), w)
      const inputs = [leaf([20, 5], dtype, 2), leaf([20, 5], dtype), leaf([3, 20], dtype, 0.2)]
      compare(inputs, turned(layer), turned(reference), 2)
    })
    it('gives the gradients that are asked for, one by one as together', () => {
      const all = [leaf([9, 40], dtype, 2), leaf([9, 40], dtype), leaf([6, 40], dtype, 0.2), leaf([6], dtype)]
      const run = (wanted: readonly number[]) => {
        const [gate, up, w, b] = all.map((x, i) => {
          const copy = x.detach().clone()
          copy.requiresGrad = wanted.includes(i)
          return copy
        })
        const leaves = [gate, up, w, b].filter((x) => x.requiresGrad)
        return gradients([activatedLinear(gate, up, w, b, activation).square().sum()], leaves) as Tensor[]
      }
      const together = run([0, 1, 2, 3])
      for (const wanted of [[0], [1], [2], [3], [0, 1], [1, 2], [0, 3], [2, 3], [1, 2, 3]])
        for (const [i, gradient] of run(wanted).entries())
          expect(gradient.equal(together[wanted[i]]), `${wanted}`).toBe(true)
    })
  })
  it('activatedLinear: the bits of the operators one by one, in values and gradients', () => {
    const all = [leaf([300, 192], dtype, 2), leaf([300, 192], dtype), leaf([64, 192], dtype, 0.1), leaf([64], dtype)]
    const run = (fused: Fused) => {
      const y = fused(...all) as Tensor
      return [y, ...(gradients([y.square().sum()], all) as Tensor[])]
    }
    const pairs: [Fused, Fused][] = [
      [(g, u, w, b) => activatedLinear(g, u, w, b, 'silu'), (g, u, w, b) => linear(swiglu(g, u), w, b)],
      [
        (g, u, w, b) => activatedLinear(g, null, w, b, 'gelu').add(u.sum()),
        (g, u, w, b) => linear(fusedGelu(g), w, b).add(u.sum()),
      ],
      [
        (g, u, w, b) => activatedLinear(g, u, w, b, 'gelu-tanh'),
        (g, u, w, b) => linear(geglu(g, u, { approximate: 'tanh' }), w, b),
      ],
    ]
    for (const [fused, composed] of pairs) {
      const expected = run(composed)
      for (const [i, one] of run(fused).entries()) expect(one.equal(expected[i]), `${i}`).toBe(true)
    }
  })
})
