// `npm run bench -- studio`: how long the pages of the studio take in Chromium, with 1,000 runs, with 8 runs of 50,000 steps as curves, and
// with a run of 1,000,000 steps; and how long the server is deaf meanwhile. These are times of this machine, not ratios
// to another program. Beside them is the CPU time of the server and of the page's own thread, which other work on the machine changes less.
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, open, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import { createStudio, type RunningStudio } from '../src/serving/index.ts'
import { loadScript } from '../tests/setup/load-script.ts'
import type { BenchOptions } from './main.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Writes the events of a run whose loss falls, with noise that is a function of the step. */
const writeRun = async (folder: string, steps: number): Promise<void> => {
  await mkdir(folder, { recursive: true })
  const file = await open(join(folder, 'events.jsonl'), 'w')
  for (let first = 1; first <= steps; first += 10_000) {
    const lines: string[] = []
    for (let step = first; step < Math.min(first + 10_000, steps + 1); step++)
      lines.push(
        JSON.stringify({
          ...{ type: 'step', time: new Date(1.77e12 + step * 1000).toISOString(), step },
          ...{ loss: 2 + 5 / Math.sqrt(step) + Math.sin(step * 12.9898) / 5, learningRate: 1e-3 / step },
          ...{ gradientNorm: 1 + Math.cos(step) / 2, tokens: step * 4096, tokensPerSecond: 1e4 + (step % 97) },
          ...{ seconds: 0.4, dataSeconds: 0.01, memoryBytes: 2 ** 30 + step, totalSteps: steps },
        }),
      )
    await file.write(`${lines.join('\n')}\n`)
  }
  await file.close()
  await writeFile(join(folder, 'run.json'), '{"command":"pretrain","model":{"type":"gpt2","preset":"small"}}')
}

interface Measured {
  seconds: number
  /** CPU seconds of this process, which is the server, and of the main thread of the page. */
  serverCpu: number
  pageCpu: number
  /** Longest time in which the server answered nobody, in seconds. */
  deaf: number
}

/** Milliseconds after which a page that is not complete is an error; a busy machine is slow. */
const pageMs = 300_000

/** Times that each page is opened: a busy machine delays most of them. */
const repeats = 3

/** Opens a page in a new browser window some times, waits for what makes it complete, and prints the fastest and the slowest. */
const timePage = async (
  browser: Browser,
  server: RunningStudio | NewServers,
  { what, hash, ready }: TimedPage,
): Promise<void> => {
  const measured: Measured[] = []
  for (let i = 0; i < repeats; i++) {
    const studio = 'url' in server ? server : await createStudio({ port: 0, roots: server.roots })
    measured.push(await timeOnce(browser, studio, { what, hash, ready }))
    if (studio !== server) await studio.close()
  }
  measured.sort((a, b) => a.seconds - b.seconds)
  const [{ seconds, serverCpu, pageCpu, deaf }] = measured
  const slowest = measured[measured.length - 1].seconds
  console.log(
    `${what}: ${seconds.toFixed(2)} s, slowest of ${repeats} ${slowest.toFixed(2)} s (CPU: server ${serverCpu.toFixed(2)} s, page ${pageCpu.toFixed(2)} s); longest pause of the server ${(deaf * 1000).toFixed(0)} ms`,
  )
}

/** A new server for each time, which has answered nobody before. */
interface NewServers {
  roots: string[]
}

interface TimedPage {
  what: string
  hash: string
  /** Waits until the page is complete. @returns seconds by the browser's own clock, where it knows them */
  ready(page: Page): Promise<number | undefined>
}

/** Counts the CPU seconds of a page's main thread from now on. @returns how many there are so far */
const countPageCpu = async (page: Page): Promise<() => Promise<number>> => {
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable', { timeDomain: 'threadTicks' })
  return async () => {
    const { metrics } = await session.send('Performance.getMetrics')
    return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? Number.NaN
  }
}

const timeOnce = async (browser: Browser, { url }: RunningStudio, { hash, ready }: TimedPage): Promise<Measured> => {
  const page = await browser.newPage()
  page.setDefaultTimeout(pageMs)
  const pageCpuOf = await countPageCpu(page)
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  const cpu = process.cpuUsage()
  const started = performance.now()
  await page.goto(`${url}/${hash}`)
  const seconds = (await ready(page)) ?? (performance.now() - started) / 1000
  const { user, system } = process.cpuUsage(cpu)
  delay.disable()
  const pageCpu = await pageCpuOf()
  await page.close()
  return { seconds, serverCpu: (user + system) / 1e6, pageCpu, deaf: delay.max / 1e9 }
}

/** Seconds from the start of the navigation to the first paint with content. */
const paint = async (page: Page): Promise<number> => {
  for (;;) {
    const at = await page.evaluate(
      "performance.getEntriesByName('first-contentful-paint').map((one) => one.startTime)[0] ?? null",
    )
    if (typeof at === 'number') return at / 1000
    await page.waitForTimeout(20)
  }
}

/** Redraws that are timed; the fastest counts. */
const redraws = 6

/** Milliseconds in which a page that has its data draws curves: from a change of an axis to the next frame. */
const timeRedraw = async (browser: Browser, { url }: RunningStudio, hash: string): Promise<number> => {
  const page = await browser.newPage()
  page.setDefaultTimeout(pageMs)
  await page.goto(`${url}/${hash}`)
  await page.locator('canvas').first().waitFor()
  await page.waitForTimeout(1000)
  const times: number[] = []
  for (let i = 0; i < redraws; i++)
    times.push(
      (await page.evaluate(`new Promise((resolve) => {
        const box = [...document.querySelectorAll('input[type=checkbox]')].find((one) => /log/i.test(one.parentElement.textContent))
        const started = performance.now()
        box.click()
        requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - started)))
      })`)) as number,
    )
  await page.close()
  return Math.min(...times)
}

export const run = async ({ smoke }: BenchOptions): Promise<void> => {
  const { findBrowser } = await loadScript<{ findBrowser(): string | undefined }>('browser.mjs')
  const { buildWeb } = await loadScript<{ buildWeb(root: string): Promise<void> }>('web.mjs')
  const executablePath = findBrowser()
  if (executablePath === undefined) throw new Error('Expected a Chromium, found none: install one.')
  await buildWeb(root)
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-bench-studio-'))
  const [many, steps, long] = smoke ? [20, 500, 5000] : [1000, 50_000, 1_000_000]
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  try {
    for (let i = 0; i < many; i++) await writeRun(join(folder, 'many', `run-${i}`), 300)
    for (let i = 0; i < 8; i++) await writeRun(join(folder, 'curves', `run-${i}`), steps)
    await writeRun(join(folder, 'long', 'run'), long)
    const chosen = Array.from({ length: 8 }, (_, i) => `run-${i}`).join(',')
    const foldersOf = (name: string) => ({ port: 0, roots: [join(folder, name)] })
    const table = await createStudio(foldersOf('many'))
    const firstRow = async (page: Page) => {
      await page.getByRole('link', { name: /^run-/ }).first().waitFor()
      return undefined
    }
    const [asTable, asRows] = [paint, firstRow].map((ready) => ({ hash: '#/runs', ready }))
    await timePage(browser, foldersOf('many'), { what: `first paint, ${many} runs, new server`, ...asTable })
    await timePage(browser, foldersOf('many'), { what: `first rows, ${many} runs, new server`, ...asRows })
    await timePage(browser, table, { what: `first paint, ${many} runs`, ...asTable })
    await timePage(browser, table, { what: `first rows, ${many} runs`, ...asRows })
    await table.close()
    const curves = await createStudio(foldersOf('curves'))
    const canvas = async (page: Page) => {
      await page.locator('canvas').first().waitFor()
      return undefined
    }
    const hash = `#/compare?runs=${chosen}`
    const what = `8 curves of ${steps} steps`
    await timePage(browser, foldersOf('curves'), { what: `${what}, new server`, hash, ready: canvas })
    await timePage(browser, curves, { what, hash, ready: canvas })
    console.log(`redrawing ${what}: ${(await timeRedraw(browser, curves, hash)).toFixed(0)} ms`)
    await curves.close()
    const one = await createStudio(foldersOf('long'))
    const asRun = { hash: '#/runs/run', ready: canvas }
    await timePage(browser, foldersOf('long'), { what: `a run of ${long} steps, new server`, ...asRun })
    await timePage(browser, one, { what: `a run of ${long} steps`, ...asRun })
    await one.close()
  } finally {
    await browser.close()
    rmSync(folder, { recursive: true, force: true })
  }
}
