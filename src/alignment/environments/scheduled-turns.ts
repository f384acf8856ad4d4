// The turns of episodes from the scheduler of text generation: many episodes share its steps, and a turn reuses the tokens before it as any
// text does. A turn depends on the tokens before it, on the seed of its episode and on its number alone.
import { createRandom } from '../../core/index.ts'
import type { GenerationScheduler } from '../../generation/index.ts'
import type { TurnGenerator } from './run-episode.ts'

/** How turns are sampled. */
export interface ScheduledTurnOptions {
  /** Seed of the episode: another one for each episode of a group. */
  seed: number | string
  /** Tokens that end a turn. */
  endTokens: readonly number[]
  /** Divides the logits (default: 1); `greedy` takes the most likely tokens. */
  temperature?: number | 'greedy'
}

/** Writes the turns of one episode with the model of a scheduler, with the log-probabilities that each token was sampled with. */
export const scheduledTurns =
  (scheduler: GenerationScheduler, { seed, endTokens, temperature = 1 }: ScheduledTurnOptions): TurnGenerator =>
  async (ids, { maxNewTokens, turn, signal }) => {
    const sampling =
      temperature === 'greedy'
        ? {}
        : { sample: true, temperature, seed: createRandom(`${seed}/turn/${turn}`).integer(2 ** 31) }
    const { result } = scheduler.submit({
      prompt: [...ids],
      options: { maxNewTokens, eosTokenIds: [...endTokens], ...sampling },
      logProbs: 'model',
      signal,
    })
    const { ids: own, finishReason, logProbs } = await result
    return { ids: own, finishReason, ...(logProbs === undefined ? {} : { logProbs }) }
  }
