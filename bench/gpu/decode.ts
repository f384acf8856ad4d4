// Our side of decoding on a device, in a process of its own: `decode.ts DEVICE ROWS RUNS [--smoke]`. Greedy, in bfloat16, no end token.
// One JSON line.
import { parseArgs } from 'node:util'
import { generate } from '../../src/generation/index.ts'
import { decoding, gpuJob } from './jobs.ts'
import { makeModel, openDevice, randomIds } from './models.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { smoke: { type: 'boolean', default: false } },
})
const [device] = positionals
const [rows, runs] = positionals.slice(1).map(Number)
const job = gpuJob(decoding.job, values.smoke)
openDevice(device)
const model = makeModel(job, device, 'bfloat16').eval()
const prompts = Array.from({ length: rows }, (_, i) =>
  randomIds(`prompt/${i}`, values.smoke ? 8 : decoding.prompt, Number(job.config.vocabSize)),
)
const newTokens = values.smoke ? 8 : decoding.newTokens
const options = { maxNewTokens: newTokens, eosTokenIds: [] }
await generate(model, undefined, prompts, { ...options, maxNewTokens: 4 })
const seconds: number[] = []
for (let run = 0; run < runs; run++) {
  const started = performance.now()
  await generate(model, undefined, prompts, options)
  seconds.push((performance.now() - started) / 1000)
}
console.log(JSON.stringify({ seconds, tokens: rows * newTokens }))
