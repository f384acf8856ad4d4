// Our side of the generation benchmark, a process of its own: loads SmolLM2, generates greedily, prints one JSON line.
// Arguments: folder, dtype, batch, new tokens, runs, threads.
import { loadModel, loadTokenizer } from '../../src/checkpoint/index.ts'
import { generate } from '../../src/generation/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { prompts } from './prompts.ts'

const [folder, dtype, batch, newTokens, runs, threads] = process.argv.slice(2)
setThreads(Number(threads))
const model = await loadModel(folder, { head: 'causal-lm', dtype: dtype as 'float32' })
const tokenizer = await loadTokenizer(folder)
const chosen = prompts.slice(0, Number(batch)).map((prompt) => [...tokenizer.encode(prompt).ids])
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
console.log(JSON.stringify({ seconds, cpuSeconds, ids, text: tokenizer.decode(ids[0]) }))
