// Our side of a training job on a device, in a process of its own: `train.ts JOB DEVICE STEPS [--smoke]`. bfloat16 weights with float32
// masters, AdamW, gradients clipped at 1. One JSON line.
import { parseArgs } from 'node:util'
import { createOptimizer, optimizerSchema } from '../../src/optim/index.ts'
import { initialState, preFlight, runLength, train, trainingSchema } from '../../src/training/index.ts'
import { gpuJob } from './jobs.ts'
import { openDevice, trainableOf } from './models.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { smoke: { type: 'boolean', default: false } },
})
const [name, device] = positionals
const steps = Number(positionals[2])
const job = gpuJob(name, values.smoke)
openDevice(device)
const { trainable, stream } = trainableOf(job, device, 'bfloat16')
const settings = trainingSchema.parse({
  batch: { sequences: job.batch, microTokens: 2 * job.batch * job.length },
  budget: { steps },
  schedule: { type: 'constant' },
  precision: 'bfloat16',
})
const optimizer = createOptimizer(optimizerSchema.parse({ type: 'adamw', weightDecay: 0.01 }), trainable.parameters)
const vocabulary = { size: Number(job.config.vocabSize), specialIds: new Set<number>(), eos: 6 }
const { flopsPerToken } = preFlight({
  ...{ trainable, optimizer, stream, batch: settings.batch, microTokens: settings.batch.microTokens },
  vocabulary: { ...vocabulary, sentinels: [], continuesWord: () => false, endsSentence: () => false },
  vocabSize: trainable.model.facts.vocabSize,
  decode: (ids) => ids.join(' '),
})
const tokensPerStep = job.batch * job.length
const length = runLength(settings.budget, {
  ...{ examplesPerStep: job.batch, tokensPerStep, examplesPerEpoch: stream.perEpoch },
})
const measured: { ms: number; loss: number }[] = []
const state = initialState(settings, trainable.model.facts.numLayers)
const run = { trainable, stream, optimizer, settings, learningRate: 1e-4, length, state, device }
for await (const event of train(run))
  if (event.type === 'step') measured.push({ ms: 1000 * event.seconds, loss: event.loss })
console.log(JSON.stringify({ steps: measured, tokensPerStep, flopsPerToken }))
