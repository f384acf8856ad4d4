// Learning from a teacher: loss and gradients are those of PyTorch (golden/distillation.json, by make-distillation.py), however the batch is
// divided; runs with a teacher learn what it knows, and refuse a teacher that does not fit.
import { expect, it } from 'vitest'
import { loadModel } from '../../src/checkpoint/index.ts'
import { distilled, type Teacher } from '../../src/objectives/index.ts'
import { Generator, noGrad } from '../../src/tensor/index.ts'
import { computeGradients } from '../../src/training/index.ts'
import { accumulationGolden, basePath, compareNorms, layouts, readGolden } from './golden-batches.ts'

interface Case {
  divergence: Teacher['divergence']
  temperature: number
  share: number
  loss: number
  norms: Record<string, number>
}
const golden = readGolden<Record<string, Case[]>>('distillation')

it.each(Object.entries(golden).flatMap(([name, cases]) => cases.map((one) => ({ name, ...one }))))(
  'of $name by $divergence at temperature $temperature, $share of the loss',
  async ({ name, divergence, temperature, share, loss, norms }) => {
    const { head, criterion, example } = layouts[name]
    const load = () => loadModel(basePath(name), { head, dropout: 0 })
    const [model, teacher] = [await load(), await load()]
    model.train().requireGrad(true)
    noGrad(() => {
      for (const parameter of teacher.parameters().values()) parameter.mul_(3)
    })
    const objective = distilled(criterion(0), { model: teacher, weight: share, temperature, divergence })
    for (const microTokens of [16, 1000]) {
      const found = await computeGradients(
        { model, objective, parameters: model.parameters() },
        accumulationGolden[name].examples.map(example),
        { microTokens, padded: false, recompute: 0, generator: new Generator(1) },
      )
      expect(found.microBatches > 3).toBe(microTokens === 16)
      expect(Math.abs(found.loss - loss) / loss).toBeLessThan(1e-4)
      expect(Object.keys(found.terms)).toContain('distillation')
      const { largest, count } = compareNorms(model, found.gradients, norms)
      expect(largest).toBeLessThan(1e-4)
      expect(count).toBeGreaterThan(15)
      found.release()
    }
  },
)
