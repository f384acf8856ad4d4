// llama.cpp's side of the generation benchmark, through node-llama-cpp: prompts as JSON on standard input, one JSON line out.
// Arguments: folder with node_modules, GGUF file, new tokens, runs, threads.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [folder, file, newTokens, runs, threads] = process.argv.slice(2)
const prompts = JSON.parse(readFileSync(0, 'utf8'))
const entry = join(folder, 'node_modules', 'node-llama-cpp', 'dist', 'index.js')
const { getLlama } = await import(pathToFileURL(entry).href)
const llama = await getLlama({ gpu: false, build: 'never', maxThreads: Number(threads) })
const model = await llama.loadModel({ modelPath: file })
const context = await model.createContext({
  sequences: prompts.length,
  contextSize: 512,
  threads: Number(threads),
  batchSize: 512,
})
const sequences = prompts.map(() => context.getSequence())
const tokens = prompts.map((prompt) => model.tokenize(prompt))

const one = async (sequence, prompt, count) => {
  await sequence.clearHistory()
  const made = []
  for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    made.push(token)
    if (made.length >= count) break
  }
  return made
}

await Promise.all(sequences.map((sequence, i) => one(sequence, tokens[i], 4)))
const seconds = []
const cpuSeconds = []
let made = []
for (let run = 0; run < Number(runs); run++) {
  const cpu = process.cpuUsage()
  const start = performance.now()
  made = await Promise.all(sequences.map((sequence, i) => one(sequence, tokens[i], Number(newTokens))))
  seconds.push((performance.now() - start) / 1000)
  const used = process.cpuUsage(cpu)
  cpuSeconds.push((used.user + used.system) / 1e6)
}
const text = model.detokenize(made[0])
const status = readFileSync('/proc/self/status', 'utf8')
const megabytes = (field) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) / 1024
const resident = { residentMegabytes: megabytes('VmRSS'), anonymousMegabytes: megabytes('RssAnon') }
await llama.dispose()
console.log(JSON.stringify({ seconds, cpuSeconds, ...resident, text }))
