// One fine-tuning run of bench/rows.ts: how long it took to start, how long the main thread kept others waiting, and its memory. One JSON
// line.
//   run.ts RECIPE-AS-JSON MODULE
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { resourceUsage } from 'node:process'
import type { finetune as Finetune } from '../../src/runs/index.ts'
import { median } from '../side-by-side.ts'

export interface RowsRun {
  /** From the call to the first step. */
  startSeconds: number
  /** User and system time of all threads until then. */
  startCpuSeconds: number
  /** 99th percentile of the delay of the event loop, in milliseconds, over the steps and before the first one. */
  delayP99: number
  startDelayP99: number
  /** From the last step to the end: the final evaluation and the export, with the delays then, the longest among them. */
  endSeconds: number
  endDelayP99: number
  longestEndDelay: number
  /** MB after the first step and after the last. */
  rssAtStart: number
  rssAtEnd: number
  peakRss: number
  stepMs: number
}

/** Milliseconds between two looks of the monitor, which are part of its delays. */
const resolution = 1
const delay = monitorEventLoopDelay({ resolution })
const p99 = () => delay.percentile(99) / 1e6 - resolution
const rss = () => process.memoryUsage.rss() / 2 ** 20

const { finetune } = (await import(process.argv[3])) as { finetune: typeof Finetune }
const recipe = JSON.parse(process.argv[2]) as Parameters<typeof Finetune>[0]
const started = performance.now()
const times: number[] = []
let [startSeconds, startCpuSeconds, startDelayP99, rssAtStart, rssAtEnd] = [0, 0, 0, 0, 0]
const before = process.cpuUsage()
let last = 0
let delayP99 = 0
delay.enable()
await finetune(recipe, {
  onEvent(event) {
    if (event.type !== 'step') return
    const now = performance.now()
    if (times.length === 0 && last === 0) {
      startSeconds = (now - started) / 1000
      const { user, system } = process.cpuUsage(before)
      startCpuSeconds = (user + system) / 1e6
      startDelayP99 = p99()
      delay.reset()
      rssAtStart = rss()
    } else times.push(now - last)
    last = now
    rssAtEnd = rss()
    if (event.step < (recipe.budget?.steps ?? 0)) return
    delayP99 = p99()
    delay.reset()
  },
})
const result: RowsRun = {
  startSeconds,
  startCpuSeconds,
  delayP99,
  startDelayP99,
  endSeconds: (performance.now() - last) / 1000,
  endDelayP99: p99(),
  longestEndDelay: delay.max / 1e6 - resolution,
  rssAtStart,
  rssAtEnd,
  peakRss: resourceUsage().maxRSS / 1024,
  stepMs: median(times),
}
console.log(JSON.stringify(result))
