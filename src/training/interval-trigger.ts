// Decides when something that is repeated, such as an evaluation, is due.
import type { IntervalSettings } from './settings.ts'

/** What a run has done so far. */
export interface TrainingProgress {
  step: number
  tokens: number
  /** Seconds of training in all sessions. */
  seconds: number
}

/** Is due at multiples of an interval, so that a resumed run does the same at the same steps. */
export class IntervalTrigger {
  readonly #every: IntervalSettings
  #last: TrainingProgress

  constructor(every: IntervalSettings, last: TrainingProgress) {
    this.#every = every
    // A copy, as the loop changes its object.
    this.#last = { ...last }
  }

  /** Whether a multiple of the interval was passed since the last call. Call it after every step. */
  now(progress: TrainingProgress): boolean {
    const { steps, tokens, minutes } = this.#every
    const crossed = (size: number | undefined, before: number, after: number) =>
      size !== undefined && Math.floor(after / size) > Math.floor(before / size)
    const due =
      crossed(steps, this.#last.step, progress.step) ||
      crossed(tokens, this.#last.tokens, progress.tokens) ||
      crossed(minutes === undefined ? undefined : minutes * 60, this.#last.seconds, progress.seconds)
    this.#last = { ...progress }
    return due
  }
}
