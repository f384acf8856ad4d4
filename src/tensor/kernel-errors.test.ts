import { describe, expect, it } from 'vitest'
import {
  activatedLinear,
  adamw_,
  addLayerNorm,
  addRmsNorm,
  attention,
  dropout,
  embedding,
  fusedGelu,
  gradients,
  linear,
  linearCrossEntropy,
  ones,
  rotary,
  tensor,
  zeros,
} from './index.ts'

describe('an error of a fused operator names the operator and its argument', () => {
  const x = zeros([2, 3])
  const long = { dtype: 'int64' } as const
  const cases: Record<string, [() => unknown, RegExp]> = {
    'linear: width': [() => linear(x, zeros([4, 5])), /linear.*\[2, 3\].*\[4, 5\]/s],
    'linear: dtype': [() => linear(x, zeros([4, 3], long)), /linear/],
    'linear: bias': [() => linear(x, zeros([4, 3]), zeros([3])), /^linear.*Expected shape \[4\] for `bias`, got \[3\]/],
    'loss: target': [
      () => linearCrossEntropy(x, zeros([4, 3]), null, tensor([1, 4], long)),
      /targets from 0 to 3.*got 4 at row 1/s,
    ],
    'loss: padded target': [
      () => linearCrossEntropy(x, zeros([4, 3]), null, tensor([1, 3], long), { vocabSize: 3 }),
      /got 3 at row 1/,
    ],
    'embedding: id': [() => embedding(zeros([5, 2]), tensor([0, 7], long)), /ids from 0 to 4.*got 7 at position 1/s],
    'embedding: negative id': [() => embedding(zeros([5, 2]), tensor([-1], long)), /got -1/],
    'norm: weight': [
      () => addLayerNorm(x, null, zeros([4]), null, 1e-5),
      /^addLayerNorm.*Expected shape \[3\] for `weight`, got \[4\]/,
    ],
    'norm: residual': [() => addRmsNorm(x, zeros([3, 3]), zeros([3]), 1e-5), /residual/],
    'activatedLinear: sizes': [
      () => activatedLinear(x, null, zeros([2, 4]), null, 'gelu'),
      /Expected shape \[\.\.\.,4\] for `gate`, got/,
    ],
    'activatedLinear: up': [
      () => activatedLinear(x, zeros([1]), x, null, 'silu'),
      /Expected `up` to have the shape and type of `gate`/,
    ],
    'activatedLinear: activation': [
      () => activatedLinear(x, null, x, null, 'relu' as 'gelu'),
      /Expected `silu`, `gelu` or `gelu-tanh` as `activation`, got `relu`/,
    ],
    'dropout: p': [() => dropout(x, 1), /dropout.*got 1/s],
    'attention: heads': [
      () => attention(zeros([1, 2, 3, 4]), zeros([1, 2, 2, 4]), zeros([1, 2, 2, 4])),
      /multiple of the key heads/,
    ],
    'attention: mask': [
      () => attention(zeros([1, 2, 1, 4]), zeros([1, 2, 1, 4]), zeros([1, 2, 1, 4]), { mask: zeros([3, 2]) }),
      /mask that broadcasts/,
    ],
    'attention: starts': [
      () =>
        attention(zeros([1, 2, 1, 4]), zeros([1, 2, 1, 4]), zeros([1, 2, 1, 4]), { queryStarts: tensor([0, 9], long) }),
      /queryStarts/,
    ],
    'rotary: size': [() => rotary(zeros([1, 2, 1, 4]), zeros([2, 3]), zeros([2, 3])), /rotary/],
    'adamw_: list': [
      () =>
        adamw_([x], {
          ...{ expAvgs: [], expAvgSqs: [x], workingCopies: [x], grads: [x], learningRates: [1], weightDecays: [0] },
          ...{ beta1: 0.9, beta2: 0.99, eps: 1e-8, step: 1 },
        }),
      /Expected 1 entries.*0 exp_avgs/s,
    ],
  }
  it.each(Object.entries(cases))('%s', (_, [call, message]) => {
    expect(call).toThrow(message)
  })
  it('refuses a second derivative instead of giving zero', () => {
    const input = ones([3])
    input.requiresGrad = true
    expect(() => gradients([fusedGelu(input).sum()], [input], { createGraph: true })).toThrow(/second derivative/)
    const layer = activatedLinear(input, null, ones([2, 3]), null, 'gelu')
    expect(() => gradients([layer.sum()], [input], { createGraph: true })).toThrow(/second derivative/)
  })
})
