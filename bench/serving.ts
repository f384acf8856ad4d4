// `npm run bench -- serving`: clients at the same time against `tunesmith serve`, llama.cpp's server and a plain server of FastAPI and
// transformers, all with SmolLM2-135M and the same prompts, greedy and streamed: tokens a second, time to the first token, latency, CPU
// time, and ratios. The servers run together and are measured in turns. Part `adapters`: rows with four adapters beside rows with one. Part
// `encoders`: vectors and classes of MiniLM-L6 beside FastAPI. Part `start`: the installed command (compile it first) from its start to the
// first answer of /health, and to the first token. Needs the Python of bench/peers/setup.mjs; llama.cpp's server is the one of its
// --llama-server, or of TUNESMITH_LLAMA_SERVER, and left out without one.
// Options: --parts start,load,adapters,encoders, --clients 1,4,16,64, --rounds N, --new N tokens, --seconds N after which a server that has
// not answered its clients is cut off (a fifth of it is the time of a turn of encoders), --threads N, --dtype float32.
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { applyAdapter, saveAdapter } from '../src/adapters/index.ts'
import { loadModel, saveModel } from '../src/checkpoint/index.ts'
import { exportModel } from '../src/export/index.ts'
import { random } from '../tests/serving/fixture.ts'
import { prompts } from './generation/prompts.ts'
import { findGguf, findSmolLm2 } from './generation/smollm2.ts'
import type { BenchOptions } from './main.ts'
import { type Load, measureLoad } from './serving/load.ts'
import { llamaServer, type PeerServer, startFastApi, startInstalled, startLlama, startOurs } from './serving/servers.ts'
import { rateOf, ratioOf, type Side, type Turns, takeTurns, turnTables } from './serving/turns.ts'
import { chosenParts, expectDtype, median, miniLmFolder, peersPython, printTable } from './side-by-side.ts'

interface Settings {
  python: string
  folder: string
  gguf: string
  clients: number[]
  rounds: number
  /** After which a server is cut off. */
  seconds: number
  newTokens: number
  threads: number
  dtype: string
}

const option = (rest: readonly string[], name: string): string | undefined => {
  const at = rest.indexOf(`--${name}`)
  return at < 0 ? undefined : rest[at + 1]
}

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

/** Fewer requests for each client where there are many, so that slow servers end in time. */
const requestsOf = (clients: number): number => Math.max(4, 2 * Math.min(clients, 16), clients)

const completionsAt = async (
  url: string,
  { clients, seconds, newTokens }: Pick<Settings, 'seconds' | 'newTokens'> & { clients: number },
  models: readonly string[] = ['smol'],
): Promise<Load> => {
  const body = (number: number) => ({
    ...{ model: models[number % models.length], prompt: prompts[number % prompts.length] },
    ...{ max_tokens: newTokens, temperature: 0, stream: true, ignore_eos: true },
  })
  return measureLoad({
    ...{ url, path: '/v1/completions', tokens: newTokens, body, clients, seconds },
    requests: requestsOf(clients),
  })
}

/** One request for each model, before anything is measured. */
const warmCompletions =
  (models: readonly string[]) =>
  (url: string): Promise<Load[]> =>
    Promise.all(models.map((model) => completionsAt(url, { clients: 1, seconds: 120, newTokens: 2 }, [model])))

const printTables = (tables: readonly (readonly string[][])[]): void => {
  for (const table of tables) {
    printTable(table)
    console.log()
  }
}

const begin = async ({ folder, threads, dtype, rounds }: Settings): Promise<void> => {
  const flags = ['--model', folder, '--name', 'smol', '--dtype', dtype]
  const healthy: number[] = []
  const answered: number[] = []
  const since = (from: number) => (performance.now() - from) / 1000
  const times = 2 * rounds + 1
  for (let round = 0; round < times; round++) {
    const from = performance.now()
    await withServer(startInstalled(flags, threads), async (url) => {
      healthy.push(since(from))
      await completionsAt(url, { clients: 1, seconds: 60, newTokens: 1 })
      answered.push(since(from))
    })
  }
  const seconds = (values: readonly number[]) => `${median(values).toFixed(2)} s`
  console.log(
    `From the start of the process, median of ${times}: /health after ${seconds(healthy)}, the first answers after ${seconds(answered)}.`,
  )
}

const load = async (settings: Settings): Promise<void> => {
  const { python, folder, gguf, clients, threads, dtype, rounds, newTokens } = settings
  const rows = Math.min(32, Math.max(...clients))
  const common = ['--name', 'smol', '--max-rows', String(rows)]
  const llama = llamaServer()
  const ours: Side[] = [
    // The file of llama.cpp, whose blocks stay as they are.
    { name: 'tunesmith, Q4_1', start: () => startOurs(['--model', gguf, ...common], threads) },
    {
      name: `tunesmith, ${dtype}`,
      start: () => startOurs(['--model', folder, '--dtype', dtype, ...common], threads),
    },
  ]
  const peers: Side[] = [
    { name: `FastAPI, ${dtype}`, start: () => startFastApi(python, 'completions', { folder, threads, dtype }) },
  ]
  if (llama !== undefined)
    peers.unshift({ name: 'llama.cpp, Q4_1', start: () => startLlama(llama, gguf, { threads, rows }) })
  else
    console.log(
      "Without llama.cpp's server: run node bench/peers/setup.mjs --llama-server, or set TUNESMITH_LLAMA_SERVER.",
    )
  const turns = await takeTurns([...ours, ...peers], {
    ...{ clients, rounds, tokens: newTokens, warm: warmCompletions(['smol']) },
    measure: (url, count) => completionsAt(url, { ...settings, clients: count }),
  })
  console.log(`SmolLM2-135M, ${newTokens} tokens a text, ${threads} threads; tokens per second`)
  printTables(turnTables(turns, ours.length))
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
    const choices: [string, string[]][] = [
      ['adapters: none', ['smol']],
      ['adapters: one', ['one']],
      ['adapters: four', names],
    ]
    await withServer(startOurs(flags, settings.threads), async (url) => {
      await warmCompletions(['smol', ...names])(url)
      const turns = choices.map(([name]): Turns => ({ name, clients, loads: [], cpu: [] }))
      for (let round = 0; round < settings.rounds + 1; round++)
        for (const [i, [, models]] of choices.entries())
          turns[i].loads.push(await completionsAt(url, { ...settings, clients }, models))
      printTable(turnTables(turns, 1)[0])
      const [, one, four] = turns
      console.log(
        `Four adapters cost ${(100 * (ratioOf(one, four) - 1)).toFixed(1)} % over one (${rateOf(four).toFixed(1)} against ${rateOf(one).toFixed(1)} tokens per second).`,
      )
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const encoders = async (settings: Settings): Promise<void> => {
  const { python, clients, rounds, threads, dtype } = settings
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-classifier-'))
  try {
    const base = miniLmFolder()
    const classifier = await loadModel(base, { head: 'sequence-classification', newHead: true })
    await saveModel(classifier, join(folder, 'classifier'), { tokenizer: base })
    const out = join(folder, 'quantized')
    const { files } = await exportModel({ model: base, to: 'gguf:q8_0', out, prove: false })
    const q8 = files.map(({ name }) => join(out, name)).find((path) => path.endsWith('.gguf')) ?? out
    for (const [kind, model] of [
      ['embeddings', base],
      ['classify', join(folder, 'classifier')],
    ] as const) {
      const flags = ['--model', model, '--name', 'encoder', '--dtype', dtype]
      // What users of float32 files may choose beside it: fewer bits on our side only.
      const fewerBits: Side[] = [
        { name: 'Q8_0', flags: kind === 'embeddings' ? ['--model', q8] : ['--model', model, '--weights', 'q8_0'] },
        ...(dtype === 'float32' ? [{ name: 'bfloat16', flags: ['--model', model, '--dtype', 'bfloat16'] }] : []),
      ].map(({ name, flags }) => ({
        name: `${kind}: tunesmith, ${name}`,
        start: () => startOurs([...flags, '--name', 'encoder'], threads),
      }))
      const measure = (url: string, count: number, seconds: number) => {
        const body = (number: number) => ({
          model: 'encoder',
          input: [`${prompts[number % prompts.length]} ${number}`],
        })
        return measureLoad({ url, path: `/v1/${kind}`, body, clients: count, seconds })
      }
      const sides = [
        ...fewerBits,
        { name: `${kind}: tunesmith, ${dtype}`, start: () => startOurs(flags, threads) },
        {
          name: `${kind}: FastAPI, ${dtype}`,
          start: () => startFastApi(python, kind, { folder: model, threads, dtype }),
        },
      ]
      const turns = await takeTurns(sides, {
        ...{ clients, rounds, tokens: 1 },
        warm: (url) => measure(url, 1, settings.seconds / 20),
        measure: (url, count) => measure(url, count, settings.seconds / 5),
      })
      console.log('MiniLM-L6, one text a request; requests per second')
      printTables(turnTables(turns, sides.length - 1))
    }
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
    rounds: Number(option(rest, 'rounds') ?? (smoke ? 1 : 2)),
    seconds: Number(option(rest, 'seconds') ?? (smoke ? 10 : 40)),
    newTokens: Number(option(rest, 'new') ?? (smoke ? 3 : 32)),
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
