// Progress of one long piece of work on stderr: a bar on a terminal, plain lines a few times a minute elsewhere.
import { createRequire } from 'node:module'
import type CliProgress from 'cli-progress'
import { formatCount, formatDuration } from './format.ts'

const load = createRequire(import.meta.url)

export interface ProgressOptions {
  label: string
  /** Left out when the end is not known: then only the count and the rate are shown. */
  total?: number
  /** What is counted, in the plural: `documents`, `steps`, `bytes`. */
  unit: string
  /** False shows nothing; the default is true. */
  enabled?: boolean
  /** Where the lines go and how it is asked for a terminal; the default is stderr. */
  stream?: NodeJS.WriteStream
  /** Milliseconds between two plain lines when there is no terminal. */
  intervalMs?: number
}

export interface Progress {
  /** `done` counts from 0; `fields` are shown behind the bar, such as the loss. */
  update(done: number, fields?: Record<string, string | number>): void
  /** Prints the last state and gives the terminal back. Safe to call twice. */
  stop(): void
}

export const createProgress = (options: ProgressOptions): Progress => {
  const { label, total, unit, enabled = true, stream = process.stderr, intervalMs = 15_000 } = options
  if (!enabled) return { update() {}, stop() {} }
  const started = performance.now()
  const pauses = new PauseWatch()
  let done = 0
  let fields: Record<string, string | number> = {}
  let stopped = false

  const describe = () => {
    const elapsed = performance.now() - started
    // A pause is no sign of how fast the work goes.
    const rate = done > 0 ? (done / (elapsed - pauses.pausedMs)) * 1000 : 0
    const parts = [
      total === undefined ? `${formatCount(done)} ${unit}` : `${formatCount(done)}/${formatCount(total)} ${unit}`,
    ]
    if (rate > 0) parts.push(`${formatCount(rate)}/s`)
    if (total !== undefined && rate > 0 && done < total)
      parts.push(`${formatDuration(((total - done) / rate) * 1000)} left`)
    else if (elapsed >= 1000) parts.push(formatDuration(elapsed))
    for (const [name, value] of Object.entries(fields)) parts.push(`${name} ${value}`)
    return parts.join(' · ')
  }

  if (stream.isTTY && total !== undefined) {
    // Loaded with the first bar, since help needs none.
    const { SingleBar } = load('cli-progress') as typeof CliProgress
    const bar = new SingleBar({
      format: `${label} {bar} {percentage}% · {details}`,
      stream,
      barsize: 24,
      hideCursor: true,
      fps: 5,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      // Without this, cli-progress puts its own handlers on SIGINT and SIGTERM and the command could not stop in order.
      gracefulExit: false,
    })
    bar.start(total, 0, { details: describe() })
    return {
      update(next, more) {
        if (stopped) return
        done = next
        fields = more ?? fields
        bar.update(Math.min(next, total), { details: describe() })
      },
      stop() {
        if (stopped) return
        stopped = true
        pauses.stop()
        bar.update(Math.min(done, total), { details: describe() })
        bar.stop()
      },
    }
  }

  let last = started
  let printed = -1
  const print = () => {
    stream.write(`${label}: ${describe()}\n`)
    last = performance.now()
    printed = done
  }
  return {
    update(next, more) {
      if (stopped) return
      done = next
      fields = more ?? fields
      if (performance.now() - last >= intervalMs) print()
    },
    stop() {
      if (stopped) return
      stopped = true
      pauses.stop()
      if (printed !== done) print()
    },
  }
}

/** Between two looks at the clocks, milliseconds. */
const beatMs = 1000
/** From here on nothing but a pause keeps a look waiting without work, milliseconds. */
const leastMs = 5000
/** Share of the processor from which it was work. */
const workShare = 0.05

/**
 * Time in which this process stood still: stopped by a signal, or with the machine asleep. Work that keeps the event loop waiting uses the
 * processor meanwhile, which a stopped process does not.
 */
class PauseWatch {
  #at = performance.now()
  #cpu = process.cpuUsage()
  #paused = 0
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#timer = setInterval(() => this.#look(), beatMs)
    // It keeps no process alive.
    this.#timer.unref()
  }

  /** Of all pauses so far, milliseconds. */
  get pausedMs(): number {
    this.#look()
    return this.#paused
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const now = performance.now()
    const wall = now - this.#at
    if (wall < beatMs) return
    const { user, system } = process.cpuUsage(this.#cpu)
    const worked = (user + system) / 1000
    // Up to a beat of it was work, before or after.
    if (wall >= leastMs && worked < workShare * wall) this.#paused += wall - Math.min(beatMs, worked)
    this.#at = now
    this.#cpu = process.cpuUsage()
  }
}
