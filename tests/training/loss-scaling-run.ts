// The run that make-loss-scaling.py repeats with PyTorch's GradScaler: a small GPT in float16, 20 steps whose first loss scale is too large.
// With a folder as its argument this file writes the initial weights, the batches and the settings there.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { saveModel } from '../../src/checkpoint/index.ts'
import { type TrainingRun, takeBatch } from '../../src/training/index.ts'
import { referenceSource } from './reference-run.ts'
import { modelOf, objectiveOf, runOf } from './small-loop.ts'

export const scalingSettings = {
  batch: { sequences: 8 },
  budget: { steps: 20 },
  learningRate: 3e-3,
  optimizer: { type: 'adamw', weightDecay: 0.01 },
  schedule: { type: 'linear', warmupSteps: 4 },
  maxGradientNorm: 1,
  precision: 'float16',
  lossScale: { initial: 2 ** 22, growthInterval: 7 },
} as const

/** @param device one that computes in float16 */
export const scalingRun = (device: string): TrainingRun<never> => {
  const objective = objectiveOf('gpt2')
  const model = modelOf('gpt2', { hiddenSize: 64 }).to({ device, dtype: 'float16' }).requireGrad(true)
  return runOf('gpt2', scalingSettings, { objective, source: referenceSource(objective), model, more: { device } })
}

const write = async (folder: string) => {
  const objective = objectiveOf('gpt2')
  const stream = referenceSource(objective)
  mkdirSync(folder, { recursive: true })
  await saveModel(modelOf('gpt2', { hiddenSize: 64 }), join(folder, 'model'))
  const batches = []
  for (let step = 0, position = 0; step < scalingSettings.budget.steps; step++) {
    const { examples, next } = takeBatch(stream, objective.tokens, position, scalingSettings.batch)
    position = next
    batches.push(
      (examples as { ids: Uint32Array; labels: Int32Array }[]).map(({ ids, labels }) => ({
        ids: [...ids],
        labels: [...labels],
      })),
    )
  }
  writeFileSync(join(folder, 'batches.json'), JSON.stringify(batches))
  writeFileSync(join(folder, 'settings.json'), JSON.stringify(scalingSettings))
}

if (process.argv[1]?.endsWith('loss-scaling-run.ts') && process.argv[2] !== undefined) await write(process.argv[2])
