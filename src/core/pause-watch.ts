// Time in which this process stood still: stopped by a signal, or with the machine asleep. Work that keeps the event loop waiting uses
// the processor meanwhile, which a stopped process does not.

/** Between two looks at the clocks, milliseconds. */
const beatMs = 1000
/** From here on nothing but a pause keeps a look waiting without work, milliseconds. */
const leastMs = 5000
/** Share of the processor from which it was work. */
const workShare = 0.05

export class PauseWatch {
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
