// How much of a run is done, and how many steps it has: what the schedule and the loop's end depend on.
import { ConfigError } from '../core/index.ts'
import type { Progress } from './due.ts'
import type { TrainingSettings } from './settings.ts'

export interface RunLength {
  /** Steps in all, where the budget fixes them; an estimate from the speed so far under a budget of minutes. */
  totalSteps(progress: Progress): number
  done(progress: Progress, position: number): boolean
  /** Whether the end depends on the clock. */
  timed: boolean
}

/** @param tokensPerStep an estimate where steps are not all alike */
export const runLength = (
  budget: TrainingSettings['budget'],
  facts: { examplesPerStep: number; tokensPerStep: number; examplesPerEpoch: number },
): RunLength => {
  const { steps, tokens, epochs, minutes } = budget
  if (steps === undefined && tokens === undefined && epochs === undefined && minutes === undefined)
    throw new ConfigError('Expected a budget of steps, tokens, epochs or minutes, got none. Say when training ends.')
  if (epochs !== undefined && !Number.isFinite(facts.examplesPerEpoch))
    throw new ConfigError(
      'Expected a budget of steps, tokens or minutes for data without an end, got epochs. A mixture has none.',
    )
  const lastPosition = epochs === undefined ? Number.POSITIVE_INFINITY : Math.ceil(epochs * facts.examplesPerEpoch)
  const counted = Math.min(
    steps ?? Number.POSITIVE_INFINITY,
    tokens === undefined ? Number.POSITIVE_INFINITY : Math.ceil(tokens / facts.tokensPerStep),
    Math.ceil(lastPosition / facts.examplesPerStep),
  )
  return {
    timed: minutes !== undefined,
    totalSteps: ({ step, seconds }) => {
      if (minutes === undefined) return Math.max(1, counted)
      const byTime = step === 0 || seconds === 0 ? counted : Math.ceil((step * minutes * 60) / seconds)
      // Before the first step nothing is known of the speed: the warm-up has just begun.
      return Math.max(1, step + 1, Math.min(counted, Number.isFinite(byTime) ? byTime : 1_000_000))
    },
    done: (progress, position) =>
      progress.step >= (steps ?? Number.POSITIVE_INFINITY) ||
      progress.tokens >= (tokens ?? Number.POSITIVE_INFINITY) ||
      position >= lastPosition ||
      progress.seconds >= (minutes ?? Number.POSITIVE_INFINITY) * 60,
  }
}
