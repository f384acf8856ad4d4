// How much of a run is done, and how many steps it has: what the schedule and the loop's end depend on.
import { ConfigError } from '../core/index.ts'
import type { TrainingProgress } from './interval-trigger.ts'
import type { TrainingSettings } from './settings.ts'

/** What is done so far; `position` counts examples. */
export interface TrainingPosition extends TrainingProgress {
  position: number
}

export interface RunLength {
  /**
   * Steps in all: exact where the budget counts steps; otherwise from what a step has taken so far, a pure function of where the run
   * stands.
   */
  totalSteps(at: TrainingPosition): number
  done(at: TrainingPosition): boolean
  /** Whether the end depends on the clock. */
  timed: boolean
}

const endless = Number.POSITIVE_INFINITY

/** @param facts what a step is expected to take, before the first one. The last batch may reach into the next epoch. */
export const runLength = (
  budget: TrainingSettings['budget'],
  facts: { examplesPerStep: number; tokensPerStep: number; examplesPerEpoch: number },
): RunLength => {
  const { steps = endless, tokens = endless, epochs, minutes = endless } = budget
  if (Object.values(budget).every((value) => value === undefined))
    throw new ConfigError('Expected a budget of steps, tokens, epochs or minutes, got none. Say when training ends.')
  if (epochs !== undefined && !Number.isFinite(facts.examplesPerEpoch))
    throw new ConfigError(
      'Expected a budget of steps, tokens or minutes for data without an end, got epochs. A mixture has none.',
    )
  // Products such as 0.1 * 30 are a rounding above the whole number that is meant.
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
        // Before the first step nothing is known of the speed: the warm-up has just begun.
        minutes === endless ? endless : at.seconds > 0 ? share(minutes * 60, at.seconds, endless) : 1_000_000,
      )
      return Math.max(at.step + 1, counted)
    },
  }
}
