// llama.cpp's side of the generation benchmark, through node-llama-cpp: prompts as JSON on standard input, one JSON line out.
// Arguments: folder with node_modules, GGUF file, new tokens, runs, threads.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { residentMegabytes, timed } from './measured.mjs'

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
const all = () => Promise.all(sequences.map((sequence, i) => one(sequence, tokens[i], Number(newTokens))))
const { seconds, cpuSeconds, result } = await timed(all, Number(runs))
const text = model.detokenize(result[0])
const resident = residentMegabytes()
await llama.dispose()
console.log(JSON.stringify({ seconds, cpuSeconds, ...resident, text }))
