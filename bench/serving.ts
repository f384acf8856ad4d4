// `npm run bench -- serving`: clients at the same time against `tunesmith serve`, llama.cpp's server and a plain server of FastAPI and
// transformers, all with SmolLM2-135M and the same prompts, greedy and streamed: tokens a second, time to the first token and latency. Part
// `adapters`: rows with four adapters beside rows with one. Part `encoders`: vectors and classes of MiniLM-L6 beside FastAPI. Part `start`: the
// installed command (compile it first) from its start to the first answer of /health, and to the first token. Needs the Python of
// bench/peers/setup.mjs; llama.cpp's server is the one of its --llama-server, or of TUNESMITH_LLAMA_SERVER, and left out without one. One
// server runs at a time.
// Options: --parts start,load,adapters,encoders, --clients 1,4,16,64, --requests N for each client, --new N tokens, --threads N, --dtype float32.
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { applyAdapter, saveAdapter } from '../src/adapters/index.ts'
import { loadModel, saveModel } from '../src/checkpoint/index.ts'
import { random } from '../tests/serving/fixture.ts'
import { prompts } from './generation/prompts.ts'
import { findGguf, findSmolLm2 } from './generation/smollm2.ts'
import type { BenchOptions } from './main.ts'
import { type Load, measureLoad, percentile } from './serving/load.ts'
import { llamaServer, type PeerServer, startFastApi, startInstalled, startLlama, startOurs } from './serving/servers.ts'
import { chosenParts, expectDtype, median, miniLmFolder, peersPython, printTable } from './side-by-side.ts'

interface Settings {
  python: string
  folder: string
  gguf: string
  clients: number[]
  /** Requests of each client. */
  requests: number
  newTokens: number
  threads: number
  dtype: string
}

const option = (rest: readonly string[], name: string): string | undefined => {
  const at = rest.indexOf(`--${name}`)
  return at < 0 ? undefined : rest[at + 1]
}

const milliseconds = (values: readonly number[], share: number): string =>
  values.length === 0 ? '' : (1000 * percentile(values, share)).toFixed(0)

const head = ['server', 'clients', 'per second', 'first p50 ms', 'first p99 ms', 'all p50 ms', 'all p99 ms']

const row = (name: string, clients: number, { rate, firstToken, latency }: Load): string[] => [
  ...[name, String(clients), rate.toFixed(1)],
  ...[milliseconds(firstToken, 0.5), milliseconds(firstToken, 0.99)],
  ...[milliseconds(latency, 0.5), milliseconds(latency, 0.99)],
]

/** Starts a server, warms it with one request, measures, and stops it. */
const withServer = async <Result>(
  starting: Promise<PeerServer>,
  measure: (url: string) => Promise<Result>,
): Promise<Result> => {
  const server = await starting
  try {
    return await measure(server.url)
  } finally {
    await server.stop()
  }
}

const completionsAt = async (
  url: string,
  { clients, requests, newTokens }: Pick<Settings, 'requests' | 'newTokens'> & { clients: number },
  models: readonly string[] = ['smol'],
): Promise<Load> => {
  const body = (number: number) => ({
    ...{ model: models[number % models.length], prompt: prompts[number % prompts.length] },
    ...{ max_tokens: newTokens, temperature: 0, stream: true, ignore_eos: true },
  })
  const common = { url, path: '/v1/completions', tokens: newTokens, body }
  await measureLoad({ ...common, clients: 1, requests: models.length })
  return measureLoad({ ...common, clients, requests: clients * requests })
}

const begin = async ({ folder, threads, dtype, requests }: Settings): Promise<void> => {
  const flags = ['--model', folder, '--name', 'smol', '--dtype', dtype]
  const healthy: number[] = []
  const answered: number[] = []
  const since = (from: number) => (performance.now() - from) / 1000
  for (let round = 0; round < requests; round++) {
    const from = performance.now()
    await withServer(startInstalled(flags, threads), async (url) => {
      healthy.push(since(from))
      const body = () => ({ model: 'smol', prompt: prompts[0], max_tokens: 1, temperature: 0, stream: true })
      await measureLoad({ url, path: '/v1/completions', clients: 1, requests: 1, body })
      answered.push(since(from))
    })
  }
  const seconds = (values: readonly number[]) => `${median(values).toFixed(2)} s`
  console.log(
    `From the start of the process, median of ${requests}: /health after ${seconds(healthy)}, the first token after ${seconds(answered)}.`,
  )
}

const load = async (settings: Settings): Promise<void> => {
  const { python, folder, gguf, clients, threads, dtype } = settings
  const rows = Math.max(...clients)
  const common = ['--name', 'smol', '--max-rows', String(Math.min(rows, 32))]
  const llama = llamaServer()
  const sides: [string, () => Promise<PeerServer>][] = [
    [`tunesmith, ${dtype}`, () => startOurs(['--model', folder, '--dtype', dtype, ...common], threads)],
    // The file of llama.cpp, whose blocks stay as they are.
    ['tunesmith, Q4_1', () => startOurs(['--model', gguf, ...common], threads)],
    ...(llama === undefined
      ? []
      : [
          ['llama.cpp, Q4_1', () => startLlama(llama, gguf, { threads, rows: Math.min(rows, 32) })] as [
            string,
            () => Promise<PeerServer>,
          ],
        ]),
    [`FastAPI, ${dtype}`, () => startFastApi(python, 'completions', { folder, threads, dtype })],
  ]
  if (llama === undefined)
    console.log(
      "Without llama.cpp's server: run node bench/peers/setup.mjs --llama-server, or set TUNESMITH_LLAMA_SERVER.",
    )
  const table: string[][] = []
  for (const [name, begin] of sides)
    await withServer(begin(), async (url) => {
      for (const count of clients)
        table.push(row(name, count, await completionsAt(url, { ...settings, clients: count })))
    })
  console.log(`SmolLM2-135M, ${settings.newTokens} tokens a text, ${threads} threads; tokens per second`)
  printTable([head, ...table])
}

const adapters = async (settings: Settings): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-adapters-'))
  try {
    const names = ['one', 'two', 'three', 'four']
    for (const [i, name] of names.entries()) {
      const applied = applyAdapter(await loadModel(settings.folder), { type: 'lora', rank: 8 }, { name: 'default' })
      random(applied.model, 'default', i)
      await saveAdapter(applied, join(folder, name), { base: settings.folder })
    }
    const flags = [
      ...['--model', settings.folder, '--name', 'smol', '--dtype', settings.dtype],
      ...names.flatMap((name) => ['--specialist', `${name}=${join(folder, name)}`]),
    ]
    const clients = Math.min(16, Math.max(...settings.clients))
    const measured = await withServer(startOurs(flags, settings.threads), async (url) => ({
      base: await completionsAt(url, { ...settings, clients }),
      one: await completionsAt(url, { ...settings, clients }, ['one']),
      four: await completionsAt(url, { ...settings, clients }, names),
    }))
    printTable([head, ...Object.entries(measured).map(([name, each]) => row(`adapters: ${name}`, clients, each))])
    console.log(`Four adapters cost ${(100 * (measured.one.rate / measured.four.rate - 1)).toFixed(1)} % over one.`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const encoders = async ({ python, clients, requests, threads, dtype }: Settings): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-classifier-'))
  try {
    const base = miniLmFolder()
    const classifier = await loadModel(base, { head: 'sequence-classification', newHead: true })
    await saveModel(classifier, join(folder, 'classifier'), { tokenizer: base })
    const table: string[][] = []
    for (const [kind, model] of [
      ['embeddings', base],
      ['classify', join(folder, 'classifier')],
    ] as const) {
      const measure = async (name: string, url: string) => {
        for (const count of clients) {
          const body = (number: number) => ({ model: 'encoder', input: [prompts[number % prompts.length]] })
          const common = { url, path: `/v1/${kind}`, body }
          await measureLoad({ ...common, clients: 1, requests: 1 })
          const all = { ...common, clients: count, requests: 8 * count * requests }
          table.push(row(`${kind}: ${name}`, count, await measureLoad(all)))
        }
      }
      const flags = ['--model', model, '--name', 'encoder', '--dtype', dtype]
      await withServer(startOurs(flags, threads), (url) => measure('tunesmith', url))
      await withServer(startFastApi(python, kind, { folder: model, threads, dtype }), (url) => measure('FastAPI', url))
    }
    console.log('MiniLM-L6, one text a request; requests per second')
    printTable([head, ...table])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const partsByName: Readonly<Record<string, (settings: Settings) => Promise<void>>> = {
  start: begin,
  load,
  adapters,
  encoders,
}

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const all = Object.keys(partsByName)
  const parts = chosenParts(option(rest, 'parts') ?? all.join(), all)
  const dtype = option(rest, 'dtype') ?? 'float32'
  expectDtype(dtype)
  const python = peersPython()
  if (python === undefined) throw new Error('Expected the Python peers, got none. Run node bench/peers/setup.mjs.')
  const gguf = findGguf(python)
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-smollm2-'))
  const settings: Settings = {
    ...{ python, gguf, folder, dtype },
    clients: (option(rest, 'clients') ?? (smoke ? '2' : '1,4,16,64')).split(',').map(Number),
    requests: Number(option(rest, 'requests') ?? (smoke ? 1 : 4)),
    newTokens: Number(option(rest, 'new') ?? (smoke ? 3 : 64)),
    threads: Number(option(rest, 'threads') ?? availableParallelism()),
  }
  try {
    // The folder that transformers makes of the GGUF does not say that it continues texts.
    const made = findSmolLm2(python, gguf)
    await saveModel(await loadModel(made, { head: 'causal-lm' }), folder, { tokenizer: made })
    for (const part of parts) await partsByName[part](settings)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
