// Our side of generation during evaluation, a process of its own: texts for prompts of mixed lengths that stop at the end token, in batches;
// prints one JSON line. Arguments: folder, dtype, batch, new tokens, runs, threads, prompts.
import { loadModel, loadTokenizer } from '../../src/checkpoint/index.ts'
import { type GenerationResult, generateMany } from '../../src/generation/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { evaluationPrompts } from './evaluation-prompts.ts'

const [folder, dtype, ...numbers] = process.argv.slice(2)
const [batchSize, maxNewTokens, runs, threads, count] = numbers.map(Number)
setThreads(threads)
const model = await loadModel(folder, { head: 'causal-lm', dtype: dtype as 'float32' })
const tokenizer = await loadTokenizer(folder)
const prompts = evaluationPrompts(count).map((text) => [...tokenizer.encode(text, { addSpecialTokens: false }).ids])
const seconds: number[] = []
const cpuSeconds: number[] = []
let results: GenerationResult[] = []
await generateMany(model, tokenizer, prompts.slice(0, 2), { maxNewTokens: 2 }, { batchSize: 2 })
for (let run = 0; run < runs; run++) {
  const cpu = process.cpuUsage()
  const start = performance.now()
  results = await generateMany(model, tokenizer, prompts, { maxNewTokens }, { batchSize })
  seconds.push((performance.now() - start) / 1000)
  const used = process.cpuUsage(cpu)
  cpuSeconds.push((used.user + used.system) / 1e6)
}
const ids = results.map((result) => result.ids)
console.log(JSON.stringify({ seconds, cpuSeconds, ids, text: results[0].text }))
