// Our side of the benchmark of quantised files, a process of its own: opens a GGUF file, generates greedily, prints one JSON line.
// Arguments: file, packed or unpacked, batch, new tokens, runs, threads.
import { generate } from '../../src/generation/index.ts'
import { loadLanguageModel } from '../../src/inference/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { promptRows } from './prompts.ts'
import { residentMegabytes } from './resident.ts'

const [file, weights, batch, newTokens, runs, threads] = process.argv.slice(2)
setThreads(Number(threads))
const { model, tokenizer } = await loadLanguageModel({ model: file, weights: weights as 'packed' })
const chosen = promptRows(Number(batch)).map((prompt) => [...tokenizer.encode(prompt).ids])
// An end token would make sides do unequal work, so none is told.
const options = { maxNewTokens: Number(newTokens), eosTokenIds: [] }
const seconds: number[] = []
const cpuSeconds: number[] = []
let ids: number[][] = []
await generate(model, undefined, chosen, { ...options, maxNewTokens: 4 })
for (let run = 0; run < Number(runs); run++) {
  const cpu = process.cpuUsage()
  const start = performance.now()
  ids = (await generate(model, undefined, chosen, options)).map((result) => result.ids)
  seconds.push((performance.now() - start) / 1000)
  const used = process.cpuUsage(cpu)
  cpuSeconds.push((used.user + used.system) / 1e6)
}
console.log(JSON.stringify({ seconds, cpuSeconds, ...residentMegabytes(), text: tokenizer.decode(ids[0]) }))
