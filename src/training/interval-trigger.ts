// Decides when something that is repeated, such as an evaluation, is due.
import { type IntervalSettings, leastSecondsOfEpoch } from './settings.ts'

/** What a run has done so far. */
export interface TrainingProgress {
  step: number
  tokens: number
  /** Seconds of training in all sessions. */
  seconds: number
}

/** Progress with the position in the data, where epochs are counted. */
interface CountedProgress extends TrainingProgress {
  position?: number
}

/** Is due at multiples of an interval, so that a resumed run does the same at the same steps. */
export class IntervalTrigger {
  readonly #every: IntervalSettings
  readonly #perEpoch: number
  #last: CountedProgress
  /** Seconds of training when it was last due. */
  #dueAt: number

  /** @param perEpoch examples per epoch; Infinity for data without an end */
  constructor(every: IntervalSettings, last: CountedProgress, perEpoch = Number.POSITIVE_INFINITY) {
    this.#every = every
    this.#perEpoch = perEpoch
    this.#dueAt = last.seconds
    // A copy, as the loop changes its object.
    this.#last = { ...last }
  }

  /** Whether a multiple of the interval was passed since the last call. Call it after every step. */
  now(progress: CountedProgress): boolean {
    const { steps, tokens, minutes, epochs } = this.#every
    const crossed = (size: number | undefined, before: number, after: number) =>
      size !== undefined && Math.floor(after / size) > Math.floor(before / size)
    // Saving short epochs one by one would cost more than training them.
    const isEpochDue =
      progress.seconds - this.#dueAt >= leastSecondsOfEpoch &&
      Number.isFinite(this.#perEpoch) &&
      crossed(
        epochs === undefined ? undefined : epochs * this.#perEpoch,
        this.#last.position ?? 0,
        progress.position ?? 0,
      )
    const due =
      isEpochDue ||
      crossed(steps, this.#last.step, progress.step) ||
      crossed(tokens, this.#last.tokens, progress.tokens) ||
      crossed(minutes === undefined ? undefined : minutes * 60, this.#last.seconds, progress.seconds)
    this.#last = { ...progress }
    if (due) this.#dueAt = progress.seconds
    return due
  }
}
