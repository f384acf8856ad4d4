// Our side of the benchmark of quantised files, a process of its own: opens a GGUF file, generates greedily, prints one JSON line.
// Arguments: file, packed or unpacked, batch, new tokens, runs, threads.
import { loadLanguageModel } from '../../src/inference/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { greedyRuns } from './greedy-runs.ts'
import { promptRows } from './prompts.ts'
import { residentMegabytes } from './resident.ts'

const [file, weights, ...numbers] = process.argv.slice(2)
const [batch, maxNewTokens, runs, threads] = numbers.map(Number)
setThreads(threads)
const { model, tokenizer } = await loadLanguageModel({ model: file, weights: weights as 'packed' })
const measured = await greedyRuns(model, tokenizer, promptRows(batch), { maxNewTokens, runs })
console.log(JSON.stringify({ ...measured, ...residentMegabytes() }))
