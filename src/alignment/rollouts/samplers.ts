// Samples answers with the generation engine, from the very weights that are trained: many answers share each step, and those to one prompt
// share its computation. An answer depends on its prompt and its seed alone.

import { DataError } from '../../core/index.ts'
import { GenerationScheduler } from '../../generation/index.ts'
import { keepPackedWeights, type Model } from '../../models/index.ts'
import type { CompletionEncoder } from '../../tasks/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { type Environment, type EpisodeSettings, runEpisode, scheduledTurns } from '../environments/index.ts'
import type { ResolvedRollout, RolloutPrompt } from './rollout.ts'
import type { AnswerSampler, SampledAnswer } from './rollout-source.ts'

/** A sampler of a model as it is at each call: its active adapters, its weights of now. */
export const answerSampler =
  (
    model: Model,
    { maxNewTokens, temperature, concurrency }: Pick<ResolvedRollout, 'maxNewTokens' | 'temperature' | 'concurrency'>,
  ): AnswerSampler =>
  async (requests, answers, { signal }) => {
    // Keys and values are of no use after the next step, and their memory is needed for training.
    const scheduler = new GenerationScheduler(model, { maxRows: concurrency })
    // One listener for all answers.
    const stop = () => scheduler.free()
    signal?.addEventListener('abort', stop, { once: true })
    try {
      const groups = requests.map(({ prompt, seed }) =>
        scheduler.submitGroup({
          prompt: prompt.ids,
          options: {
            maxNewTokens,
            eosTokenIds: [...prompt.endTokens],
            ...(answers === 'greedy' ? {} : { sample: true, temperature, seed, numReturnSequences: answers }),
          },
          logProbs: 'model',
        }),
      )
      return await Promise.all(
        groups.map((group) =>
          Promise.all(
            group.map(async ({ result }) => {
              const { ids, finishReason, logProbs = [] } = await result
              return {
                ids: Uint32Array.from(ids),
                mask: new Uint8Array(ids.length).fill(1),
                logProbs: Float32Array.from(logProbs),
                finishReason,
              }
            }),
          ),
        ),
      )
    } finally {
      signal?.removeEventListener('abort', stop)
      scheduler.free()
    }
  }

/**
 * A sampler with the model's weights in the layout of the kernels while it samples: batch-invariant products of few rows take much longer
 * without. They are freed afterwards.
 */
export const withPackedWeights =
  (model: Model, sample: AnswerSampler): AnswerSampler =>
  async (...given) => {
    const free = keepPackedWeights(model)
    try {
      return await sample(...given)
    } finally {
      free()
    }
  }

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
