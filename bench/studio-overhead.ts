// What an open page costs training: one recipe without a studio, and with `--ui` and its page open, in turn, in CPU seconds of the training
// process as its run card has them. Nobody asks the model. The order changes from pair to pair, so that a busy machine is the same for both.
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Browser, chromium } from 'playwright-core'
import { bootstrapMean } from '../src/tasks/index.ts'
import { readRunCard } from '../src/tracking/index.ts'
import { loadScript } from '../tests/setup/load-script.ts'
import { makeSmallData, type SmallData } from '../tests/training/small-run.ts'
import type { BenchOptions } from './main.ts'
import { median, printTable } from './side-by-side.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** A model whose steps take some milliseconds: the less the arithmetic, the more any other work of a step counts. */
const flagsOf = ({ shards, tokenizer }: SmallData, out: string, steps: number): string[] => [
  ...['pretrain', '--model.type', 'gpt2', '--model.config.num-layers', '2', '--model.config.hidden-size', '128'],
  ...['--model.config.num-heads', '4', '--objective.type', 'causal-lm', '--data', shards, '--tokenizer', tokenizer],
  ...['--max-length', '64', '--batch.sequences', '16', '--budget.steps', String(steps), '--out', out, '--json'],
]

/** Runs the command; with a browser, opens the page of the studio as soon as its address is known. @returns CPU seconds */
const train = async (flags: string[], out: string, browser?: Browser): Promise<number> => {
  const ui = browser === undefined ? [] : ['--ui', '--ui-port', '0']
  const child = spawn(process.execPath, ['--import', 'tsx', join(root, 'src/cli/main.ts'), ...flags, ...ui], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let err = ''
  let opened: Promise<unknown> | undefined
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    err = (err + part).slice(-20_000)
    const url = /on (http:\/\/\S+), and ends/.exec(err)?.[1]
    if (browser === undefined || url === undefined || opened !== undefined) return
    opened = browser.newPage().then((page) => page.goto(`${url}/#/runs/run`))
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (browser !== undefined && opened === undefined) throw new Error('The studio printed no address.')
  await opened
  if (code !== 0) throw new Error(`The run ended with ${code}: ${err.trim().split('\n').pop()}`)
  const card = await readRunCard(out)
  if (card === undefined) throw new Error('The run wrote no card.')
  return card.cpuSeconds
}

/** Runs `npm run bench -- studio-overhead [--pairs 6] [--steps 3000]`. */
export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({ args: rest, options: { pairs: { type: 'string' }, steps: { type: 'string' } } })
  const pairs = Number(values.pairs ?? (smoke ? 1 : 6))
  const steps = Number(values.steps ?? (smoke ? 20 : 3000))
  const { findBrowser } = await loadScript<{ findBrowser(): string | undefined }>('browser.mjs')
  const { buildWeb } = await loadScript<{ buildWeb(root: string): Promise<void> }>('web.mjs')
  await buildWeb(root)
  const browser = await chromium.launch({ executablePath: findBrowser(), args: ['--no-sandbox'] })
  const data = await makeSmallData('bpe')
  const folder = await mkdtemp(join(tmpdir(), 'tunesmith-overhead-'))
  const rows: [number, number][] = []
  try {
    const measure = async (name: string, with_: boolean): Promise<number> => {
      const out = join(folder, name, 'run')
      return train(flagsOf(data, out, steps), out, with_ ? browser : undefined)
    }
    for (let pair = 0; pair < pairs; pair++) {
      const order = pair % 2 === 0 ? [false, true] : [true, false]
      const cpu: number[] = []
      for (const with_ of order) cpu[Number(with_)] = await measure(`${pair}-${with_}`, with_)
      rows.push([cpu[0], cpu[1]])
      console.log(`pair ${pair + 1}: ${cpu[0].toFixed(2)} s alone, ${cpu[1].toFixed(2)} s with a page`)
    }
  } finally {
    await browser.close()
    data.dispose()
    await rm(folder, { recursive: true, force: true })
  }
  const ratios = rows.map(([alone, watched]) => watched / alone)
  const mean = bootstrapMean([{ numerators: ratios, denominators: ratios.map(() => 1) }])
  printTable([
    ['pairs', 'steps', 'CPU alone', 'CPU with a page', 'mean ratio, 95 %', 'lowest', 'highest'],
    [
      pairs,
      steps,
      `${median(rows.map(([alone]) => alone)).toFixed(2)} s`,
      `${median(rows.map(([, watched]) => watched)).toFixed(2)} s`,
      `${mean.value.toFixed(4)} [${mean.low.toFixed(4)}, ${mean.high.toFixed(4)}]`,
      Math.min(...ratios).toFixed(4),
      Math.max(...ratios).toFixed(4),
    ],
  ])
}
