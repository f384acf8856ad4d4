// The length of a run, on which schedule and loop depend: when it is done, how many steps it has, and when what it repeats is due.
import { ConfigError } from '../core/index.ts'
import { type IntervalSettings, leastSecondsOfEpoch, type TrainingSettings } from './settings.ts'

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

/** Progress with the position in the data; `position` counts examples. */
export interface TrainingPosition extends TrainingProgress {
  position: number
}

/** The length of a run by its budget. */
export interface RunLength {
  /**
   * Total number of steps: exact for a budget of steps; otherwise estimated from the steps so far, as a pure function of the position.
   */
  totalSteps(at: TrainingPosition): number
  done(at: TrainingPosition): boolean
  /** Whether the end depends on the time. */
  timed: boolean
}

const endless = Number.POSITIVE_INFINITY

/**
 * The length of a run by the limit that is reached first. The last batch may reach into the next epoch.
 * @param facts the expected size of a step, before the first one
 */
export const runLength = (
  budget: TrainingSettings['budget'],
  facts: { examplesPerStep: number; tokensPerStep: number; examplesPerEpoch: number },
): RunLength => {
  const { steps = endless, tokens = endless, epochs, minutes = endless } = budget
  if (Object.values(budget).every((value) => value === undefined))
    throw new ConfigError(
      'A run needs a budget: set `budget.steps`, `budget.tokens`, `budget.epochs` or `budget.minutes`.',
    )
  if (epochs !== undefined && !Number.isFinite(facts.examplesPerEpoch))
    throw new ConfigError(
      'Expected a budget of steps, tokens or minutes for a mixture, got epochs. A mixture has no end.',
    )
  // Products such as 0.1 * 30 are a rounding error above the whole number.
  const roundUp = (value: number) => (value === endless ? value : Math.ceil(value - 1e-9 * Math.max(1, value)))
  const lastPosition = epochs === undefined ? endless : Math.max(1, roundUp(epochs * facts.examplesPerEpoch))
  const done = (at: TrainingPosition) =>
    at.step >= steps || at.tokens >= tokens || at.position >= lastPosition || at.seconds >= minutes * 60
  return {
    timed: minutes !== endless,
    done,
    totalSteps: (at) => {
      if (at.step > 0 && done(at)) return at.step
      const share = (limit: number, taken: number, perStep: number) =>
        roundUp(limit / (at.step > 0 && taken > 0 ? taken / at.step : perStep))
      const counted = Math.min(
        steps,
        share(tokens, at.tokens, facts.tokensPerStep),
        share(lastPosition, at.position, facts.examplesPerStep),
        // The speed is unknown before the first step, when the warmup has just begun.
        minutes === endless ? endless : at.seconds > 0 ? share(minutes * 60, at.seconds, endless) : 1_000_000,
      )
      return Math.max(at.step + 1, counted)
    },
  }
}
