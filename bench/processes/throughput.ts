// Two processes of one thread beside one process of two threads: steps of the same run of GPT-2-small, by turns on the same cores.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { makeSmallData, smallRecipe } from '../../tests/training/small-run.ts'
import { median } from '../side-by-side.ts'
import { doneFile, turnFile, turnOf, turnSteps } from './turns.ts'

/** What is measured, and for how long. */
export interface ThroughputOptions {
  preset: string
  rows: number
  length: number
  precision: string
  /** Minutes after which no pair of turns begins. */
  minutes: number
}

/** Share of the throughput of one process that several must reach. */
const wanted = 0.85
const leastPairs = 3
const script = fileURLToPath(new URL('./paced-rank.ts', import.meta.url))

/** Starts the processes of a run, with the threads of each. */
const startRun = (name: string, processes: number, words: readonly string[], folder: string): ChildProcess[] =>
  Array.from({ length: processes }, (_, rank) => {
    const threads = String(2 / processes)
    const group = {
      RANK: String(rank),
      WORLD_SIZE: String(processes),
      ...{ MASTER_ADDR: '127.0.0.1', MASTER_PORT: '28700', TUNESMITH_HEARTBEAT_SECONDS: '300' },
    }
    const args = ['--import', 'tsx', script, ...words, folder, name, threads]
    const env = { ...process.env, OMP_NUM_THREADS: threads, ...(processes > 1 && group) }
    return spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'], env })
  })

/** Prints throughput of both, pair by pair, as it is measured. */
export const compareThroughput = async ({ preset, rows, length, precision, minutes }: ThroughputOptions) => {
  const until = Date.now() + 60_000 * minutes
  const data = await makeSmallData('bpe')
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-throughput-'))
  const children: ChildProcess[] = []
  const giveTurn = (text: string) => {
    // Renamed, so that nobody reads a part of it.
    writeFileSync(join(folder, 'next'), text)
    renameSync(join(folder, 'next'), join(folder, turnFile))
  }
  /** Seconds of a turn, once it has ended. */
  const secondsOf = async (name: string, number: number): Promise<number> => {
    const file = join(folder, doneFile(name, number))
    for (;;) {
      const ended = children.find(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null)
      if (ended !== undefined) throw new Error(`A process of the run ended with ${ended.exitCode ?? ended.signalCode}.`)
      const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
      if (text !== '') return Number(text)
      await setTimeout(20)
    }
  }
  try {
    giveTurn('nobody')
    const runs = { one: 1, two: 2 }
    for (const [name, processes] of Object.entries(runs)) {
      const out = join(folder, name)
      const file = join(folder, `${name}.json`)
      const recipe = smallRecipe(data, out, {
        ...{ model: { type: 'gpt2', preset }, objective: { type: 'causal-lm' }, maxLength: length, precision },
        ...{ batch: { sequences: rows, microTokens: (rows * length) / 2 }, budget: { steps: 100_000 } },
        ...{ average: undefined, evaluate: {}, checkpoint: {}, keep: { last: 1 }, validationExamples: 0 },
      })
      writeFileSync(file, JSON.stringify(recipe))
      children.push(...startRun(name, processes, [file], folder))
      await secondsOf(name, 0)
    }
    const tokens = rows * length
    const rate = (seconds: number) => `${(tokens / seconds).toFixed(0)}`
    const pairs: { one: number; two: number }[] = []
    for (let turn = 1; turn <= leastPairs || Date.now() < until; turn++) {
      const pair = { one: 0, two: 0 }
      // The first of a pair is not always the same one.
      const order = turn % 2 === 0 ? (['one', 'two'] as const) : (['two', 'one'] as const)
      for (const name of order) {
        giveTurn(turnOf(name, turn))
        pair[name] = (await secondsOf(name, turn)) / turnSteps
      }
      pairs.push(pair)
      // Told at once: a run that is stopped by its caller's limit has shown what it measured.
      console.info(
        `pair ${turn}: ${rate(pair.one)} tokens/s by one process of 2 threads, ${rate(pair.two)} by two of 1 thread, ratio ${(pair.one / pair.two).toFixed(3)}`,
      )
    }
    const ratios = pairs.map(({ one, two }) => one / two)
    const middle = median(ratios)
    console.info(
      `GPT-2 ${preset}, ${rows} rows of ${length} tokens, ${precision}: two processes reach ${(100 * middle).toFixed(1)} % of one (median of ${pairs.length} pairs, ${Math.min(...ratios).toFixed(3)} to ${Math.max(...ratios).toFixed(3)}; wanted: ${100 * wanted} %).`,
    )
  } finally {
    for (const child of children) child.kill('SIGKILL')
    data.dispose()
    rmSync(folder, { recursive: true, force: true })
  }
}
