// Log-probabilities of tokens by the fused operators, against the plain composition in float64.
import { describe, expect, it } from 'vitest'
import { randint, randn, type Tensor, tokenLogProbs } from '../../src/tensor/index.ts'
import { both, compare, type Fused, generator, leaf } from './compare-fused.ts'

describe.each(both)('%s: log-probabilities of tokens', (dtype) => {
  const composed =
    (targets: Tensor, temperature: number): Fused =>
    (hidden, weight, offset) => {
      const product = hidden.matmul(weight.t())
      const logits = (offset === undefined ? product : product.add(offset)).div(temperature)
      return logits.logSoftmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    }
  const cases = [
    { rows: 7, width: 5, vocab: 11, bias: false, temperature: 1 },
    { rows: 65, width: 33, vocab: 97, bias: true, temperature: 0.7 },
    { rows: 0, width: 8, vocab: 9, bias: false, temperature: 1 },
  ]
  it.each(cases)('$rows rows of $vocab classes at temperature $temperature', (size) => {
    const { rows, width, vocab, bias, temperature } = size
    const targets = randint(0, vocab, [rows], { generator, dtype: 'int64' })
    const inputs = [leaf([rows, width], dtype), leaf([vocab, width], dtype, width ** -0.5)]
    if (bias) inputs.push(leaf([vocab], dtype))
    const fused: Fused = (hidden, weight, offset) =>
      tokenLogProbs(hidden, weight, offset ?? null, targets, { temperature, chunkSize: 16 })[0]
    compare(inputs, fused, composed(targets, temperature), 2)
    // With a frozen weight the gradient of the hidden states is computed in forward.
    const [frozen, frozenBias] = inputs.slice(1).map((one) => one.detach())
    const early: Fused = (hidden) =>
      tokenLogProbs(hidden, frozen, frozenBias ?? null, targets, { temperature, chunkSize: 16 })[0]
    const plain: Fused = (hidden) =>
      composed(targets, temperature)(hidden, frozen.to(hidden.dtype), frozenBias?.to(hidden.dtype))
    compare([inputs[0]], early, plain, 2)
  })
  it('gives the entropy and the summed squared probabilities', () => {
    const hidden = randn([20, 12], { generator })
    const weight = randn([50, 12], { generator })
    const targets = randint(0, 50, [20], { generator, dtype: 'int64' })
    const logProbs = hidden.matmul(weight.t()).logSoftmax(-1)
    const [, entropy, logPower] = tokenLogProbs(hidden, weight, null, targets)
    expect(entropy.sub(logProbs.exp().mul(logProbs).sum(-1).neg()).abs().max().item()).toBeLessThan(1e-5)
    expect(logPower.sub(logProbs.mul(2).exp().sum(-1).log()).abs().max().item()).toBeLessThan(1e-5)
  })
})
