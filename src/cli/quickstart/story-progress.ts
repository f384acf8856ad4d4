// How much of the quickstart is done and how much time is left, by the estimated work of its parts. Independent of what they do.
import { formatDuration } from '../../core/index.ts'

export interface StoryPart {
  /** At most 50 characters, so that its line fits into 80 columns. */
  title: string
  /** Estimated seconds on two quiet cores: the unit in which work is counted. */
  seconds: number
}

/** Rounded so that an estimate does not look like a measurement. */
const roughly = (seconds: number): string => {
  if (seconds < 10) return 'a few seconds'
  if (seconds < 55) return `about ${10 * Math.round(seconds / 10)} s`
  if (seconds < 3600) return `about ${Math.max(1, Math.round(seconds / 60))} min`
  return `about ${formatDuration(seconds * 1000)}`
}

export class StoryProgress {
  readonly #parts: readonly StoryPart[]
  readonly #log: (line: string) => void
  #part = -1
  /** Seconds of work of this part that are reported so far. */
  #within = 0
  /** Work that this session did, and the time that it took. Parts of an earlier session count for neither. */
  #worked = 0
  #elapsed = 0
  #since = performance.now()

  constructor(parts: readonly StoryPart[], log: (line: string) => void) {
    this.#parts = parts
    this.#log = log
  }

  /** Estimated seconds of the whole story on two quiet cores. */
  get totalSeconds(): number {
    return this.#parts.reduce((sum, { seconds }) => sum + seconds, 0)
  }

  announce(): void {
    this.#log(`This takes ${roughly(this.totalSeconds)} on two quiet cores, longer on a busy machine.`)
    this.#log('Steps, not time, bound the training, so the results do not depend on the load.')
    this.#log('Ctrl-C stops; the same command resumes.')
  }

  /** Ends the last part and begins the next: its title, and what is left. */
  next(): void {
    this.#part++
    this.#within = 0
    this.#since = performance.now()
    const { title } = this.#parts[this.#part]
    this.#log(`[${this.#part + 1}/${this.#parts.length}] ${title} (${this.left()})`)
  }

  /** Reports `seconds` of estimated work as done; `skipped` where an earlier session did it. */
  done(seconds: number, { skipped = false } = {}): void {
    const now = performance.now()
    this.#within += seconds
    if (!skipped) {
      this.#worked += seconds
      this.#elapsed += (now - this.#since) / 1000
    }
    this.#since = now
  }

  /** Reports the rest of this part as done. */
  finish(options: { skipped?: boolean } = {}): void {
    this.done(Math.max(0, this.#parts[this.#part].seconds - this.#within), options)
  }

  /** `about 3 min left`, from the speed of this session. */
  left(): string {
    const before = this.#parts.slice(0, this.#part).reduce((sum, { seconds }) => sum + seconds, 0)
    const work = Math.max(0, this.totalSeconds - before - this.#within)
    // The first seconds of work say little about the speed of this machine.
    const slowness = (this.#elapsed + 5) / (this.#worked + 5)
    return `${roughly(work * slowness)} left`
  }
}
