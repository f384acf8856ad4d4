// Times checkpoints of our loop: `checkpoint.ts FOLDER JOB REPEATS [--smoke]`. What is timed ends when the files are safe on disk,
// their SHA-256 is in the manifest and the folder has its name. One JSON line.
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createOptimizer, optimizerSchema } from '../../src/optim/index.ts'
import { noGrad, scope, zeros } from '../../src/tensor/index.ts'
import { initialState, trainedParameters, trainingSchema, writeSnapshot } from '../../src/training/index.ts'
import { jobNamed, smallened } from './jobs.ts'
import { openJob } from './model.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { smoke: { type: 'boolean', default: false } },
})
const [folder, name] = positionals
const job = values.smoke ? smallened(jobNamed(name)) : jobNamed(name)
const { model } = await openJob(job, folder)
model.requireGrad(true)
const parameters = trainedParameters(model)
const optimizer = createOptimizer(optimizerSchema.parse({ type: 'adamw' }), parameters)
// One step, so that the optimizer has a state to keep.
noGrad(() =>
  scope(() =>
    optimizer.step(new Map([...parameters].map(([path, { shape }]) => [path, zeros(shape)])), { learningRate: 1e-4 }),
  ),
)
const state = initialState(trainingSchema.parse({}), model.facts.numLayers)
const out = mkdtempSync(join(folder, 'checkpoints-'))
const seconds: number[] = []
let bytes = 0
try {
  for (let i = 0; i < Number(positionals[2]); i++) {
    const started = performance.now()
    const path = await writeSnapshot(
      out,
      { model, optimizer },
      { ...state, step: i },
      { tokenizer: join(folder, 'tokenizer') },
    )
    seconds.push((performance.now() - started) / 1000)
    bytes = readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
    rmSync(path, { recursive: true })
  }
} finally {
  rmSync(out, { recursive: true, force: true })
}
console.log(JSON.stringify({ seconds, megabytes: bytes / 1e6, peakMb: process.resourceUsage().maxRSS / 1024 }))
