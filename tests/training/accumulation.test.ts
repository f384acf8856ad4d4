// A global batch whose micro-batches have unequal numbers of trained tokens, with and without label smoothing: its loss and gradients are
// those of transformers with num_items_in_batch, or of PyTorch over the whole batch (golden/accumulation.json, by make-accumulation.py).
import { expect, it } from 'vitest'
import { loadModel } from '../../src/checkpoint/index.ts'
import { Generator } from '../../src/tensor/index.ts'
import { computeGradients } from '../../src/training/index.ts'
import { accumulationGolden, basePath, compareNorms, layouts } from './golden-batches.ts'

it.each(
  Object.entries(accumulationGolden).flatMap(([name, { examples, cases }]) =>
    cases.map((one) => ({ name, examples, ...one })),
  ),
)('$name with label smoothing $smoothing', async ({ name, examples, smoothing, loss, norms }) => {
  const { head, criterion, example } = layouts[name]
  const model = await loadModel(basePath(name), { head, dropout: 0 })
  model.train().requireGrad(true)
  for (const microTokens of [16, 1000]) {
    const found = await computeGradients(
      { model, objective: criterion(smoothing), parameters: model.parameters() },
      examples.map(example),
      { microTokens, padded: false, recompute: 0, generator: new Generator(1) },
    )
    expect(found.microBatches > 3).toBe(microTokens === 16)
    expect(found.loss).toBeCloseTo(loss, 5)
    const { largest, count } = compareNorms(model, found.gradients, norms)
    expect(largest).toBeLessThan(1e-5)
    expect(count).toBeGreaterThan(15)
    found.release()
  }
})
