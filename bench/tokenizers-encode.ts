// Encoding for training data: our ids on one and two workers beside the Rust package's encodeBatch on two threads, in
// one run, over the shared books (and over a vocabulary of each kind).
import { once } from 'node:events'
import { createRequire } from 'node:module'
import type { Worker } from 'node:worker_threads'
import Table from 'cli-table3'
import { startWorker } from '../src/core/index.ts'
import { PIPELINES } from '../tests/tokenizers/rust-oracle.ts'
import { bookLines, bundledData } from './book-lines.ts'
import { dataFolder } from './side-by-side.ts'

const WORKER = new URL('./tokenizers-encode-worker/worker.ts', import.meta.url)
const DOCUMENT = 20_000
const BATCH = 64

interface RustTokenizer {
  encodeBatch(texts: string[], options: { addSpecialTokens: boolean }): Promise<{ getIds(): number[] }[]>
}

/** The first megabytes of books, in documents of whole lines. */
async function documents(data: string, megabytes: number): Promise<string[]> {
  const texts: string[] = []
  let lines: string[] = []
  let [size, length] = [0, 0]
  for await (const line of bookLines(data)) {
    lines.push(line)
    length += line.length + 1
    if (length < DOCUMENT) continue
    texts.push(lines.join('\n'))
    size += length
    if (size >= megabytes * 1e6) return texts
    ;[lines, length] = [[], 0]
  }
  return lines.length === 0 ? texts : [...texts, lines.join('\n')]
}

interface Measure {
  seconds: number
  cpuSeconds: number
  tokens: number
}

async function measure(work: () => Promise<number>): Promise<Measure> {
  const cpu = process.cpuUsage()
  const started = performance.now()
  const tokens = await work()
  const { user, system } = process.cpuUsage(cpu)
  return { seconds: (performance.now() - started) / 1000, cpuSeconds: (user + system) / 1e6, tokens }
}

/** Our side: the workers are started and have their tokenizer before the clock runs. */
async function ours(json: string, texts: readonly string[], count: number, rounds: number): Promise<Measure[]> {
  const workers = Array.from({ length: count }, () => startWorker(WORKER, { workerData: { json } }))
  const encode = async (worker: Worker, batch: readonly string[]): Promise<number> => {
    worker.postMessage(batch)
    const [ids] = (await once(worker, 'message')) as [number]
    return ids
  }
  await Promise.all(workers.map((worker) => encode(worker, ['warm up'])))
  const results: Measure[] = []
  for (let round = 0; round < rounds; round++)
    results.push(
      await measure(async () => {
        let next = 0
        let tokens = 0
        const drain = async (worker: Worker) => {
          while (next < texts.length) {
            const at = next
            next += BATCH
            const count = await encode(worker, texts.slice(at, at + BATCH))
            tokens += count
          }
        }
        await Promise.all(workers.map(drain))
        return tokens
      }),
    )
  await Promise.all(workers.map((worker) => worker.terminate()))
  return results
}

async function theirs(json: string, texts: readonly string[]): Promise<Measure> {
  const { Tokenizer: Rust } = createRequire(import.meta.url)('tokenizers') as {
    Tokenizer: { fromString(json: string): RustTokenizer }
  }
  const tokenizer = Rust.fromString(json)
  return measure(async () => {
    let tokens = 0
    for (let at = 0; at < texts.length; at += BATCH) {
      const batch = await tokenizer.encodeBatch(texts.slice(at, at + BATCH), { addSpecialTokens: false })
      // Training needs the ids in JavaScript: reading them is part of the work.
      for (const encoding of batch) tokens += Uint32Array.from(encoding.getIds()).length
    }
    return tokens
  })
}

/** What follows the name: megabytes of text, and names of tokenizers; by default all 46 and all. */
export async function run({ smoke, rest = [] }: { smoke: boolean; rest?: string[] }): Promise<void> {
  const asked = Number(rest.find((word) => Number(word) > 0) ?? 46)
  const texts = await (smoke ? documents(bundledData(), 0.1) : documents(dataFolder(), asked))
  const megabytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) / 1e6
  const table = new Table({
    head: [
      'tokenizer',
      'Rust, 2 threads',
      'ours, 1 worker',
      'ours, 2 workers',
      '2 workers, warm',
      'ratio (2:2)',
      'ratio of CPU time',
    ],
  })
  // Starting workers takes longer than a smoke test's texts, so that does without most pipelines.
  const names = Object.keys(PIPELINES).filter((name) => !smoke || name === 'llama3')
  const chosen = names.filter((name) => rest.every((word) => Number(word) > 0) || rest.includes(name))
  for (const name of chosen) {
    const json = JSON.stringify(PIPELINES[name]())
    const rust = await theirs(json, texts)
    const [one] = await ours(json, texts, 1, 1)
    const [two, warm] = await ours(json, texts, 2, 2)
    if (one.tokens !== rust.tokens || two.tokens !== rust.tokens)
      throw new Error(`${name}: ${rust.tokens} tokens from Rust, ${one.tokens} and ${two.tokens} from us.`)
    console.error(`${name} done`)
    const speed = ({ seconds }: Measure) => `${(megabytes / seconds).toFixed(1)} MB/s`
    table.push([
      name,
      speed(rust),
      speed(one),
      speed(two),
      speed(warm),
      (rust.seconds / two.seconds).toFixed(1),
      (rust.cpuSeconds / two.cpuSeconds).toFixed(1),
    ])
  }
  console.log(
    `${megabytes.toFixed(1)} MB of English books in documents of 20 kB; cold caches unless said; ids equal in number`,
  )
  console.log(table.toString())
}
