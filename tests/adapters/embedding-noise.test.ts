// NEFTune: the size of the noise, where it is, and that evaluations have none.
import { expect, it } from 'vitest'
import { addEmbeddingNoise } from '../../src/adapters/index.ts'
import { buildModel, models } from '../../src/models/index.ts'
import { DropoutMasks, withDropout } from '../../src/nn/index.ts'
import { Generator, noGrad, type Tensor, tensor } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'

const make = () => {
  const { llama } = models
  return buildModel(llama as never, llama.config.parse(llama.presets.test), 'causal-lm')
    .initialize({
      std: 0.2,
      generator: new Generator(1),
    })
    .to({ device: testDevice })
}
const ids = tensor([
  [5, 6, 7, 8],
  [9, 10, 11, 12],
]).to({ dtype: 'int64', device: testDevice })

/** The noise that the embedding adds, by rows of tokens. */
const noiseOf = (inputs: object): Tensor => {
  const model = make().train()
  const { embedTokens } = model.body
  const plain = noGrad(() => embedTokens.forward((inputs as { inputIds: Tensor }).inputIds))
  addEmbeddingNoise(model, 5)
  let seen: Tensor | undefined
  const noisy = embedTokens.forward
  Object.defineProperty(embedTokens, 'forward', {
    value: (given: Tensor) => {
      seen = noisy(given)
      return seen
    },
  })
  noGrad(() => withDropout(new DropoutMasks(new Generator(3)), () => model.forward(inputs as never)))
  return noGrad(() => (seen as Tensor).sub(plain))
}

it('is uniform noise of a size that falls with tokens and width', () => {
  const width = make().body.embedTokens.shape[1]
  const largest = (noise: Tensor) => noise.abs().max().item()
  const padded = noiseOf({
    inputIds: ids,
    attentionMask: tensor([
      [1, 1, 1, 1],
      [1, 0, 0, 0],
    ]).to({ dtype: 'uint8', device: testDevice }),
  })
  const packed = noiseOf({ inputIds: ids.view([1, 8]), starts: tensor([0, 4, 5, 8]).to('int64') })
  const bound = (tokens: number) => 5 / Math.sqrt(tokens * width)
  for (const [noise, tokens] of [
    [padded.select(0, 0), 4],
    [padded.select(0, 1), 1],
    [packed.narrow(1, 0, 4), 4],
    [packed.narrow(1, 4, 1), 1],
    [packed.narrow(1, 5, 3), 3],
  ] as const) {
    expect(largest(noise)).toBeLessThanOrEqual(bound(tokens) * 1.0001)
    expect(largest(noise)).toBeGreaterThan(bound(tokens) * 0.8)
    expect(Math.abs(noise.mean().item())).toBeLessThan(bound(tokens) / 2)
  }
  // The noise of a sequence does not depend on how the batch is laid out.
  expect(padded.select(0, 0).equal(packed.select(0, 0).narrow(0, 0, 4))).toBe(true)
  expect(
    padded
      .select(0, 1)
      .narrow(0, 0, 1)
      .equal(packed.select(0, 0).narrow(0, 4, 1)),
  ).toBe(true)
})

it('is the same for a seed, and is not there in evaluations', () => {
  const [model, plain] = [make(), make()]
  addEmbeddingNoise(model, 5)
  const logits = (of: typeof model, seed = 1) =>
    noGrad(() => withDropout(new DropoutMasks(new Generator(seed)), () => of.forward({ inputIds: ids }).logits))
  expect(logits(model.eval()).equal(logits(plain.eval()))).toBe(true)
  model.train()
  expect(logits(model).equal(logits(model))).toBe(true)
  expect(logits(model).equal(logits(model, 2))).toBe(false)
  expect(logits(model).equal(logits(plain))).toBe(false)
})
