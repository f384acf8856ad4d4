// FGM beside its definition: each sequence's embeddings are moved by epsilon along the gradient, padded and packed alike.
import { expect, it } from 'vitest'
import { EmbeddingAdversary } from '../../src/adapters/index.ts'
import { buildModel, type Model, models } from '../../src/models/index.ts'
import { Generator, noGrad, type Tensor, tensor } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'

const make = (): Model => {
  const definition = models.bert
  const config = definition.adjust(definition.presets.test, {})
  const model = buildModel(definition as never, config, 'sequence-classification', { labels: ['a', 'b', 'c'] })
    .initialize({ std: 0.2, generator: new Generator(1) })
    .to({ device: testDevice })
    .eval()
  model.requireGrad(true)
  return model
}
const ids = tensor(BigInt64Array.from([5, 6, 7, 8, 9, 10, 0, 0], BigInt), { shape: [2, 4], device: testDevice })
const attentionMask = tensor([1, 1, 1, 1, 1, 1, 0, 0], { dtype: 'int64', device: testDevice }).view([2, 4])
const starts = tensor([0, 4, 6], { dtype: 'int64' })
const packed = tensor(BigInt64Array.from([5, 6, 7, 8, 9, 10], BigInt), { shape: [1, 6], device: testDevice })
const weights = () => tensor([1, -2, 0.5, 0.3, 1, -1], { device: testDevice }).view([2, 3])
const lossOf = (model: Model, isPacked: boolean): Tensor => {
  const inputs = isPacked ? { inputIds: packed, starts } : { inputIds: ids, attentionMask }
  return model.forward(inputs).logits.mul(weights()).square().sum()
}

it.each([false, true])('moves the embeddings of each sequence along their gradient (packed: %s)', (isPacked) => {
  const model = make()
  const epsilon = 0.4
  const losses: number[] = []
  new EmbeddingAdversary(model, epsilon).attack((adversarial) => {
    const loss = lossOf(model, isPacked)
    losses.push(loss.item())
    expect(adversarial).toBe(losses.length === 2)
    loss.backward()
  })
  const gradient = (model.parameters().get('head.classifier.weight') as Tensor).grad as Tensor

  // Independent: tokens have rows of the table of their own, so that its gradient is that of the embeddings.
  const other = make()
  const table = other.body.embedTokens.weight
  const clean = lossOf(other, isPacked)
  clean.backward()
  const byToken = table.grad as Tensor
  const move = (from: number, to: number) => {
    const own = byToken.narrow(0, from, to - from)
    noGrad(() =>
      table
        .detach()
        .narrow(0, from, to - from)
        .add_(own.mul(epsilon / own.norm().item())),
    )
  }
  move(5, 9)
  move(9, 11)
  const moved = lossOf(other, isPacked)
  moved.backward()
  const [first, second] = losses
  expect(first).toBeCloseTo(clean.item(), 5)
  expect(Math.abs(second - moved.item()) / moved.item()).toBeLessThan(1e-5)
  expect(second).toBeGreaterThan(first)
  const wanted = (other.parameters().get('head.classifier.weight') as Tensor).grad as Tensor
  expect(gradient.sub(wanted).abs().max().item() / wanted.abs().max().item()).toBeLessThan(1e-5)
  // Outside an attack nothing is moved.
  expect(lossOf(model, isPacked).item()).toBe(first)
})
