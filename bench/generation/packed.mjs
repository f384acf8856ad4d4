// Our side of the benchmark of quantised files, as a program of a user that imports the parts of the package that it needs: opens a GGUF
// file and generates greedily. Prompts as JSON on standard input, one JSON line out. It runs what set-up has compiled (dist).
// Arguments: file, packed or unpacked, new tokens, runs, threads.
import { readFileSync } from 'node:fs'
import { loadModel, loadTokenizer } from '../../dist/checkpoint/index.js'
import { generate } from '../../dist/generation/index.js'
import { setThreads } from '../../dist/tensor/index.js'
import { residentMegabytes, timed } from './measured.mjs'

const [file, weights, ...numbers] = process.argv.slice(2)
const [maxNewTokens, runs, threads] = numbers.map(Number)
const prompts = JSON.parse(readFileSync(0, 'utf8'))
setThreads(threads)
const model = await loadModel(file, { head: 'causal-lm', weights })
const tokenizer = await loadTokenizer(file)
const encoded = prompts.map((prompt) => [...tokenizer.encode(prompt).ids])
// An end token would make sides do unequal work, so none is told.
const options = { maxNewTokens, eosTokenIds: [] }
await generate(model, undefined, encoded, { ...options, maxNewTokens: 4 })
const { seconds, cpuSeconds, result } = await timed(() => generate(model, undefined, encoded, options), runs)
const ids = result.map((one) => one.ids)
console.log(JSON.stringify({ seconds, cpuSeconds, ids, text: tokenizer.decode(ids[0]), ...residentMegabytes() }))
