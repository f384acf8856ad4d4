// The runs that make-reference.py repeats in plain PyTorch: a small GPT and a small BERT, 200 steps over sequences of uneven lengths. With a
// folder as its argument this file writes their initial weights and their batches there.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { saveModel } from '../../src/checkpoint/index.ts'
import { createRandom } from '../../src/core/index.ts'
import type { Objective, TextRow } from '../../src/objectives/index.ts'
import { type ExampleSource, type TrainingRun, takeBatch } from '../../src/training/index.ts'
import { noOther } from '../objectives/small-models.ts'
import { modelOf, objectiveOf, runOf } from './small-loop.ts'

export const referenceKinds = ['gpt2', 'bert'] as const
export type ReferenceKind = (typeof referenceKinds)[number]

const settings = {
  batch: { sequences: 8, microTokens: 128 },
  budget: { steps: 200 },
  learningRate: 3e-3,
  optimizer: { type: 'adamw', weightDecay: 0.01 },
  schedule: { type: 'linear', warmupSteps: 20 },
  maxGradientNorm: 1,
}

/** A document whose next token depends on the one before. */
const documentOf = (position: number): TextRow => {
  const random = createRandom(`reference/${position}`)
  let at = random.integer(110)
  const ids = Uint16Array.from({ length: 20 + random.integer(30) }, () => {
    at = (at * 3 + 1 + random.integer(4)) % 110
    return 7 + at
  })
  return { ids, starts: [0], part: 0, endsDocument: true }
}

/** Documents of uneven lengths as examples of an objective. */
export const referenceSource = (objective: Objective<never>): ExampleSource<never> => ({
  perEpoch: 1e6,
  example: (position) => ({
    example: objective.example(documentOf(position), createRandom(`mask/${position}`), noOther),
    cut: 0,
  }),
})

export const referenceRun = (kind: ReferenceKind): TrainingRun<never> => {
  const objective = objectiveOf(kind)
  const source = referenceSource(objective)
  const model = modelOf(kind, { hiddenSize: 64, ...(kind === 'bert' ? { intermediateSize: 256 } : {}) })
  return runOf(kind, settings, { objective, source, model })
}

interface Example {
  ids: Uint32Array
  labels?: Int32Array
  positions?: Uint32Array
  originals?: Int32Array
}

/** Labels by place, -100 where nothing is predicted. */
const labelsOf = ({ ids, labels, positions = new Uint32Array(), originals = new Int32Array() }: Example): number[] => {
  if (labels !== undefined) return [...labels]
  const all = Array.from(ids, () => -100)
  for (const [i, position] of positions.entries()) all[position] = originals[i]
  return all
}

const write = async (folder: string) => {
  for (const kind of referenceKinds) {
    const { trainable, stream } = referenceRun(kind)
    const target = join(folder, kind)
    mkdirSync(target, { recursive: true })
    await saveModel(trainable.model, join(target, 'model'))
    const batches = []
    for (let step = 0, position = 0; step < settings.budget.steps; step++) {
      const { examples, next } = takeBatch(stream, trainable.objective.tokens, position, settings.batch)
      position = next
      batches.push((examples as Example[]).map((example) => ({ ids: [...example.ids], labels: labelsOf(example) })))
    }
    writeFileSync(join(target, 'batches.json'), JSON.stringify(batches))
  }
}

if (process.argv[1]?.endsWith('reference-run.ts') && process.argv[2] !== undefined) await write(process.argv[2])
