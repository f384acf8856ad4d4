// Our side of the generation benchmark, a process of its own: loads SmolLM2, generates greedily, prints one JSON line.
// Arguments: folder, dtype, batch, new tokens, runs, threads.
import { loadModel, loadTokenizer } from '../../src/checkpoint/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { greedyRuns } from './greedy-runs.ts'
import { promptRows } from './prompts.ts'

const [folder, dtype, ...numbers] = process.argv.slice(2)
const [batch, maxNewTokens, runs, threads] = numbers.map(Number)
setThreads(threads)
const model = await loadModel(folder, { head: 'causal-lm', dtype: dtype as 'float32' })
const tokenizer = await loadTokenizer(folder)
console.log(JSON.stringify(await greedyRuns(model, tokenizer, promptRows(batch), { maxNewTokens, runs })))
