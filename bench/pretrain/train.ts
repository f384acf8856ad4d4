// One timed training run of our loop in a process of its own: `train.ts FOLDER JOB STEPS [--smoke] [--check]`. FOLDER is what
// prepare.ts filled. With --check it leaves the first batch in FOLDER and prints its loss without dropout. One JSON line.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Batch } from '../../src/objectives/index.ts'
import { createOptimizer, optimizerSchema } from '../../src/optim/index.ts'
import { noGrad, scope } from '../../src/tensor/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import {
  initialState,
  runLength,
  takeBatch,
  train,
  trainedParameters,
  trainingSchema,
} from '../../src/training/index.ts'
import { jobNamed, smallened } from './jobs.ts'
import { openJob } from './model.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { smoke: { type: 'boolean', default: false }, check: { type: 'boolean', default: false } },
})
const [folder, name] = positionals
const steps = Number(positionals[2])
const job = values.smoke ? smallened(jobNamed(name)) : jobNamed(name)
const { model, objective, source } = await openJob(job, folder)

if (values.check) {
  const { examples } = takeBatch(source, objective.tokens, 0, { sequences: job.batch })
  model.eval()
  const result = noGrad(() =>
    scope(() => {
      // Padded, as the other side sees it: the form of the batch must not matter.
      const padded = objective.collate(examples, { padded: true })
      const { inputIds, attentionMask } = padded.inputs
      const [rows, length] = inputIds.shape
      const ids = Int32Array.from(inputIds.toTypedArray() as BigInt64Array, Number)
      const seen = attentionMask === undefined ? new Uint8Array(ids.length).fill(1) : attentionMask.toTypedArray()
      const { picked } = padded as Batch & { picked?: typeof inputIds }
      const labels = Int32Array.from((padded.labels as typeof inputIds).toTypedArray() as BigInt64Array, Number)
      const all = new Int32Array(ids.length).fill(-100)
      if (picked === undefined) all.set(labels)
      else for (const [i, place] of (picked.toTypedArray() as BigInt64Array).entries()) all[Number(place)] = labels[i]
      writeFileSync(join(folder, 'check.bin'), Int32Array.from([rows, length, ...ids, ...seen, ...all]))
      const [term] = objective.loss(model, objective.collate(examples, { padded: false })).terms
      return { loss: term.sum.item() / term.weight }
    }),
  )
  console.log(JSON.stringify(result))
  process.exit(0)
}

// What the loop spends on data: making examples, which it says itself, and putting them together.
let collating = 0
const { collate } = objective
objective.collate = (examples, how) => {
  const from = performance.now()
  try {
    return collate(examples, how)
  } finally {
    collating += performance.now() - from
  }
}

model.requireGrad(true)
const parameters = trainedParameters(model)
const settings = trainingSchema.parse({
  batch: { sequences: job.batch },
  budget: { steps },
  schedule: { type: 'constant' },
})
const optimizer = createOptimizer(optimizerSchema.parse({ type: 'adamw', weightDecay: 0.01 }), parameters)
const length = runLength(settings.budget, {
  examplesPerStep: job.batch,
  tokensPerStep: 1,
  examplesPerEpoch: source.perEpoch,
})
const state = initialState(settings, model.facts.numLayers)
const measured: { ms: number; cpuMs: number; dataShare: number; tokens: number; loss: number }[] = []
let cpu = process.cpuUsage()
let tokens = 0
for await (const event of train({
  trainable: { model, objective, parameters },
  stream: source,
  optimizer,
  settings,
  learningRate: job.learningRate,
  length,
  state,
}) as AsyncGenerator<TrainingEvent>) {
  if (event.type !== 'step') {
    cpu = process.cpuUsage()
    continue
  }
  const { user, system } = process.cpuUsage(cpu)
  cpu = process.cpuUsage()
  measured.push({
    ms: event.seconds * 1000,
    cpuMs: (user + system) / 1000,
    dataShare: (event.dataSeconds * 1000 + collating) / (event.seconds * 1000),
    tokens: event.tokens - tokens,
    loss: event.loss,
  })
  tokens = event.tokens
  collating = 0
}
console.log(JSON.stringify({ steps: measured, peakMb: process.resourceUsage().maxRSS / 1024 }))
