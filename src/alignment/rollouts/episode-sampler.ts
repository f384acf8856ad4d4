// Samples answers of several turns: the policy and an environment take turns, and all episodes of a rollout share the steps of one scheduler.
// An episode depends on its prompt, its seed and the environment alone.
import { DataError } from '../../core/index.ts'
import { GenerationScheduler } from '../../generation/index.ts'
import type { Model } from '../../models/index.ts'
import type { CompletionEncoder } from '../../tasks/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { type Environment, type EpisodeSettings, runEpisode, scheduledTurns } from '../environments/index.ts'
import type { RolloutPrompt } from './rollout.ts'
import type { AnswerSampler, SampledAnswer } from './rollout-source.ts'
import type { ResolvedRollout } from './settings.ts'

/** What episodes need beside the model. */
export interface EpisodeSamplerOptions extends Pick<ResolvedRollout, 'maxNewTokens' | 'temperature' | 'concurrency'> {
  environment: Environment
  episode: EpisodeSettings
  tokenizer: Tokenizer
  encoder: Pick<CompletionEncoder, 'prompt' | 'template' | 'endTokens'>
  /** Maximum tokens of a prompt with its episode. */
  contextTokens?: number
}

const isSame = (one: ArrayLike<number>, other: ArrayLike<number>): boolean =>
  one.length === other.length && Array.from(one).every((id, i) => id === other[i])

/** Bytes of keys and values that the turns of episodes find again, while a rollout is sampled. */
const prefixCacheBytes = 2 ** 27

/** A sampler of episodes of a model as it is at each call. `maxNewTokens` limits a turn. */
export const episodeSampler = (model: Model, options: EpisodeSamplerOptions): AnswerSampler => {
  const { environment, episode: limits, tokenizer, encoder, contextTokens } = options
  const { maxNewTokens, temperature, concurrency } = options
  return async (requests, answers, { signal }) => {
    if (signal?.aborted === true) return []
    // The first failure ends the episodes beside it.
    const own = new AbortController()
    const stopped = signal === undefined ? own.signal : AbortSignal.any([own.signal, signal])
    const scheduler = new GenerationScheduler(model, { maxRows: concurrency, prefixCacheBytes })
    const stop = () => scheduler.free()
    stopped.addEventListener('abort', stop, { once: true })
    const play = async (prompt: RolloutPrompt, seed: number, member: number): Promise<SampledAnswer> => {
      const { record, ids: known, endTokens } = prompt
      const generate = scheduledTurns(scheduler, {
        seed: `${seed}/${member}`,
        endTokens,
        temperature: answers === 'greedy' ? 'greedy' : temperature,
      })
      const episode = await runEpisode(environment, record, {
        ...limits,
        tokenizer,
        encoder,
        generate,
        maxNewTokens,
        contextTokens,
        signal: stopped,
      })
      if (episode === undefined)
        throw new DataError(
          `Expected a prompt that fits from the environment \`${environment.name}\`, got a longer one. Raise \`maxPromptLength\`, or set \`tooLong\` to truncate.`,
          record.file,
          record.line,
        )
      const { promptIds, ids, mask, logProbs, finishReason, ...turns } = episode
      return {
        ids,
        mask,
        logProbs: logProbs ?? new Float32Array(ids.length),
        finishReason,
        ...(isSame(promptIds, known) ? {} : { promptIds: Uint32Array.from(promptIds) }),
        episode: turns,
      }
    }
    const count = answers === 'greedy' ? 1 : answers
    try {
      return await Promise.all(
        requests.map(({ prompt, seed }) =>
          Promise.all(Array.from({ length: count }, (_, member) => play(prompt, seed, member))),
        ),
      )
    } catch (error) {
      // Aborted while it sampled.
      if (stopped.aborted) return []
      own.abort(error)
      throw error
    } finally {
      stopped.removeEventListener('abort', stop)
      scheduler.free()
    }
  }
}
