// Our side of the scheduler's benchmark, a process of its own; prints one JSON line with seconds and tokens of each way to generate.
// Arguments: comparison (greedy, answers, adapters), folder, dtype, rows, new tokens, runs, threads, prompts.
import { adapterRouting, adaptersOf, applyAdapter } from '../../src/adapters/index.ts'
import { loadModel, loadTokenizer } from '../../src/checkpoint/index.ts'
import {
  type GenerationOptions,
  type GenerationRequest,
  GenerationScheduler,
  generate,
  type SchedulerOptions,
} from '../../src/generation/index.ts'
import { Generator, noGrad, setBatchInvariant, setThreads } from '../../src/tensor/index.ts'
import { evaluationPrompts } from './evaluation-prompts.ts'

/** Seconds of each run, and the tokens that one run generates. */
export interface Way {
  seconds: number[]
  cpuSeconds: number[]
  tokens: number
}

const [comparison, folder, dtype, ...numbers] = process.argv.slice(2)
const [maxRows, maxNewTokens, runs, threads, count] = numbers.map(Number)
setThreads(threads)
const model = await loadModel(folder, { head: 'causal-lm', dtype: dtype as 'float32' })
const tokenizer = await loadTokenizer(folder)
const prompts = evaluationPrompts(count).map((text) => [...tokenizer.encode(text, { addSpecialTokens: false }).ids])
const answers = 4
const greedy: GenerationOptions = { maxNewTokens }
const sampled: GenerationOptions = { maxNewTokens, sample: true, seed: 1, numReturnSequences: answers }

const total = (results: readonly { newTokens: number }[]) => results.reduce((sum, { newTokens }) => sum + newTokens, 0)

/** Batches of similar lengths, each until its last text ends. */
const inBatches = async (options: GenerationOptions, size: number) => {
  const order = prompts.toSorted((a, b) => b.length - a.length)
  let tokens = 0
  for (let at = 0; at < order.length; at += size)
    tokens += total(await generate(model, tokenizer, order.slice(at, at + size), options))
  return tokens
}

const scheduled = async (requests: readonly GenerationRequest[], options: SchedulerOptions = {}) => {
  const scheduler = new GenerationScheduler(model, { tokenizer, maxRows, ...options })
  const handles = requests.flatMap((request) => scheduler.submitGroup(request))
  const results = await Promise.all(handles.map(({ result }) => result))
  scheduler.free()
  return total(results)
}

const asRequests = (options: GenerationOptions, names?: readonly (string | null)[]): GenerationRequest[] =>
  prompts
    .toSorted((a, b) => b.length - a.length)
    .map((prompt, i) => ({ prompt, options, ...(names === undefined ? {} : { adapter: names[i % names.length] }) }))

const ways: Record<string, Way> = {}
const measure = async (entries: Record<string, () => Promise<number>>) => {
  for (let run = 0; run < runs; run++)
    for (const [name, way] of Object.entries(entries)) {
      const [start, cpu] = [performance.now(), process.cpuUsage()]
      const tokens = await way()
      const { user, system } = process.cpuUsage(cpu)
      ways[name] ??= { seconds: [], cpuSeconds: [], tokens }
      ways[name].seconds.push((performance.now() - start) / 1000)
      ways[name].cpuSeconds.push((user + system) / 1e6)
    }
}

/** Texts until their end token, one for each prompt. */
const compareGreedy = () =>
  measure({
    'static batches': () => inBatches(greedy, maxRows),
    scheduler: () => scheduled(asRequests(greedy)),
    'scheduler, rows the same bits in any batch': async () => {
      setBatchInvariant(true)
      try {
        return await scheduled(asRequests(greedy))
      } finally {
        setBatchInvariant(false)
      }
    },
  })

/** Several sampled texts for each prompt, as rollouts have them. */
const compareAnswers = () =>
  measure({
    'static batches': () => inBatches(sampled, Math.max(1, Math.floor(maxRows / answers))),
    scheduler: () => scheduled(asRequests(sampled)),
    'scheduler, log-probabilities': () =>
      scheduled(asRequests(sampled).map((request) => ({ ...request, logProbs: 'model' }))),
  })

/** Rows with different adapters in one batch. */
const compareAdapters = () => {
  // Random adapters end no text sooner than others, so that the work is the same.
  const unending = { maxNewTokens, eosTokenIds: [] }
  const names = ['one', 'two', 'three', 'four']
  for (const [i, name] of names.entries()) {
    applyAdapter(model, { type: 'lora', rank: 8 }, { name, seed: i })
    const draws = new Generator(i)
    noGrad(() => {
      for (const tensor of adaptersOf(model).tensorsOf(name).values())
        tensor.copy_(tensor.add(tensor.clone().normal_(0, 1e-3, { generator: draws })))
    })
  }
  adaptersOf(model).activate([])
  const adapters = adapterRouting(model)
  return measure({
    'no adapter': () => scheduled(asRequests(unending, [null]), { adapters }),
    'one LoRA': () => scheduled(asRequests(unending, ['one']), { adapters }),
    'four LoRAs in one batch': () => scheduled(asRequests(unending, names), { adapters }),
  })
}

await generate(model, tokenizer, prompts.slice(0, 2), { maxNewTokens: 2 })
await { greedy: compareGreedy, answers: compareAnswers, adapters: compareAdapters }[comparison as 'greedy']()
console.log(JSON.stringify(ways))
