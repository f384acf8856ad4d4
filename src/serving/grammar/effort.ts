// A limit on the time that a grammar takes, as a small schema can describe a very large one, and the server answers nobody meanwhile.
import { ConfigError } from '../../core/index.ts'

/** Steps between two looks at the clock. */
const stride = 200

/** Work that must end within some time of the processor. */
export class Effort {
  readonly #message: string
  readonly #maxTime: number
  #started = 0
  #used = process.cpuUsage()
  #steps = 0

  /**
   * @param message of the error, without the place in a schema
   * @param maxTime in milliseconds
   */
  constructor(message: string, maxTime = 1000) {
    this.#message = message
    this.#maxTime = maxTime
    this.restart()
  }

  /** Allows the whole time again. */
  restart(): void {
    this.#started = performance.now()
    this.#used = process.cpuUsage()
    this.#steps = 0
  }

  /** Counts steps that are done. @throws ConfigError when the time is over */
  spend(steps = 1): void {
    this.#steps += steps
    if (this.#steps < stride) return
    this.#steps = 0
    if (performance.now() - this.#started < this.#maxTime) return
    // Time that other programs had does not count, so that a busy machine refuses nothing else.
    const { user, system } = process.cpuUsage(this.#used)
    if ((user + system) / 1000 >= this.#maxTime) throw new ConfigError(this.#message)
  }
}

/** For the grammar of one document. */
export const compilingEffort = (): Effort =>
  new Effort(
    'the schema takes more than a second to compile. Use fewer or simpler patterns, lookaheads, repetitions and multiples.',
  )
