// Says when something that is done again and again is due next. Knows no clock but the one it is given.
import type { IntervalSettings } from './settings.ts'

export interface TrainingProgress {
  step: number
  tokens: number
  /** Seconds of training, over all starts of the run. */
  seconds: number
}

/** Each limit counts from where the thing was done last, so that a resumed run does it at the same steps. */
export class IntervalTrigger {
  readonly #every: IntervalSettings
  #last: TrainingProgress

  constructor(every: IntervalSettings, last: TrainingProgress) {
    this.#every = every
    // A copy: the loop counts on in the object that it gave.
    this.#last = { ...last }
  }

  /** True when due; it then counts as done. */
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
