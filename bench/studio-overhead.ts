// What an open page costs training: one recipe without a studio, and with `--ui` and its page open, in turn, in CPU and wall seconds of the
// training process as its run card has them. Nobody asks the model. The order changes from pair to pair, so that a busy machine is the same
// for both. It ends with one line: the ratio with its interval.
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Browser, chromium, type Page } from 'playwright-core'
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

/** Seconds of one run. */
interface Seconds {
  cpu: number
  wall: number
}

/** Runs the command; with a browser, opens the page of the studio as soon as its address is known. */
const train = async (flags: string[], out: string, browser?: Browser): Promise<Seconds> => {
  const ui = browser === undefined ? [] : ['--ui', '--ui-port', '0']
  const child = spawn(process.execPath, ['--import', 'tsx', join(root, 'src/cli/main.ts'), ...flags, ...ui], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let err = ''
  let opened: Promise<Page> | undefined
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    err = (err + part).slice(-20_000)
    const url = /on (http:\/\/\S+), and ends/.exec(err)?.[1]
    if (browser === undefined || url === undefined || opened !== undefined) return
    opened = browser.newPage().then(async (page) => {
      await page.goto(`${url}/#/runs/run`)
      return page
    })
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (browser !== undefined && opened === undefined) throw new Error('The studio printed no address.')
  await (await opened)?.close()
  if (code !== 0) throw new Error(`The run ended with ${code}: ${err.trim().split('\n').pop()}`)
  const card = await readRunCard(out)
  if (card === undefined) throw new Error('The run wrote no card.')
  return { cpu: card.cpuSeconds, wall: card.wallSeconds }
}

/** The mean ratio of pairs with its bootstrap interval. */
const ratioOf = (pairs: readonly Pair[], of: keyof Seconds) => {
  const ratios = pairs.map(({ alone, watched }) => watched[of] / alone[of])
  const { value, low, high } = bootstrapMean([{ numerators: ratios, denominators: ratios.map(() => 1) }])
  return { ratios, text: `${value.toFixed(4)} [${low.toFixed(4)}, ${high.toFixed(4)}]` }
}

interface Pair {
  alone: Seconds
  watched: Seconds
}

/** Pairs without which an interval says nothing. */
const minPairs = 4

/** Runs `npm run bench -- studio-overhead [--minutes 5] [--steps 600]`: four pairs of runs, and more until the time is over. */
export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({ args: rest, options: { minutes: { type: 'string' }, steps: { type: 'string' } } })
  const minutes = Number(values.minutes ?? (smoke ? 0 : 5))
  const steps = Number(values.steps ?? (smoke ? 20 : 600))
  const { findBrowser } = await loadScript<{ findBrowser(): string | undefined }>('browser.mjs')
  const { buildWeb } = await loadScript<{ buildWeb(root: string): Promise<void> }>('web.mjs')
  await buildWeb(root)
  const browser = await chromium.launch({ executablePath: findBrowser(), args: ['--no-sandbox'] })
  const data = await makeSmallData('bpe')
  const folder = await mkdtemp(join(tmpdir(), 'tunesmith-overhead-'))
  const pairs: Pair[] = []
  const started = performance.now()
  const isTimeLeft = () => {
    const used = performance.now() - started
    // The next pair takes as long as one has taken so far.
    return used + used / pairs.length < minutes * 60_000
  }
  try {
    while (pairs.length < (smoke ? 1 : minPairs) || isTimeLeft()) {
      const order = pairs.length % 2 === 0 ? [false, true] : [true, false]
      const seconds: Seconds[] = []
      for (const isWatched of order) {
        const out = join(folder, `${pairs.length}-${isWatched}`, 'run')
        seconds[Number(isWatched)] = await train(flagsOf(data, out, steps), out, isWatched ? browser : undefined)
      }
      const [alone, watched] = seconds
      pairs.push({ alone, watched })
      console.log(`pair ${pairs.length}: CPU ${shown(alone.cpu, watched.cpu)}; wall ${shown(alone.wall, watched.wall)}`)
    }
  } finally {
    await browser.close()
    data.dispose()
    await rm(folder, { recursive: true, force: true })
  }
  const rows = (['cpu', 'wall'] as const).map((of) => {
    const { ratios, text } = ratioOf(pairs, of)
    const middle = (which: keyof Pair) => `${median(pairs.map((pair) => pair[which][of])).toFixed(2)} s`
    const ends = [Math.min(...ratios), Math.max(...ratios)].map((ratio) => ratio.toFixed(4))
    return [of === 'cpu' ? 'CPU' : 'wall', middle('alone'), middle('watched'), text, ...ends]
  })
  printTable([['time', 'alone', 'with a page', 'mean ratio, 95 %', 'lowest', 'highest'], ...rows])
  console.log(
    `CPU time of training with a page open, by that without: ${ratioOf(pairs, 'cpu').text}, ${pairs.length} pairs of ${steps} steps.`,
  )
}

const shown = (alone: number, watched: number): string =>
  `${alone.toFixed(2)} s alone, ${watched.toFixed(2)} s with a page`
