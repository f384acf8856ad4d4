// A benchmark of bounded time: each part has a share of the minutes, and what does not end in it is named, not waited for.
import { spawn } from 'node:child_process'

/** How a process ended: with its lines, or with a fault and the lines that it printed before. */
export type Outcome = { lines: string[] } | { fault: string; printed?: string[] }

/** The time of a part. */
export class PartClock {
  readonly #ends: number

  /** @param seconds of the part */
  constructor(seconds: number) {
    this.#ends = performance.now() + 1000 * seconds
  }

  /** Seconds that are left of the part. */
  get left(): number {
    return Math.max(0, (this.#ends - performance.now()) / 1000)
  }
}

/** Least time in which a process is worth starting, in seconds. */
const leastSeconds = 5

/** Runs a process within the time of a part, and gives the lines of its output. */
export const runWithin = (
  clock: PartClock,
  [command, ...args]: readonly string[],
  environment: Record<string, string> = {},
): Promise<Outcome> => {
  const seconds = clock.left
  if (seconds < leastSeconds) return Promise.resolve({ fault: 'no time was left' })
  return new Promise((resolve) => {
    // A group of its own, so that its workers end with it.
    const child = spawn(command, args, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    let [out, err, isLate] = ['', '', false]
    const timer = setTimeout(() => {
      isLate = true
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, 1000 * seconds)
    child.stdout.on('data', (part) => {
      out += part
    })
    child.stderr.on('data', (part) => {
      err = (err + part).slice(-4000)
    })
    const end = (outcome: Outcome) => {
      clearTimeout(timer)
      resolve(outcome)
    }
    child.on('error', (error) => end({ fault: error.message }))
    child.on('close', (code) => {
      const lines = out.trim() === '' ? [] : out.trim().split('\n')
      const last = err.trim().split('\n').pop() ?? ''
      if (isLate) end({ fault: `did not end in ${Math.round(seconds)} s`, printed: lines })
      else if (code === 0) end({ lines })
      else end({ fault: `ended with ${code}: ${last}`.slice(0, 300), printed: lines })
    })
  })
}

/** The JSON of the last line of a process. */
export const lastJson = <Row>(outcome: Outcome): Row | { fault: string } => {
  if ('fault' in outcome) return { fault: outcome.fault }
  try {
    return JSON.parse(outcome.lines.at(-1) ?? '') as Row
  } catch {
    return { fault: 'printed no JSON line' }
  }
}
