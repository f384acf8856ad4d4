// Samples answers with the generation engine, from the very weights that are trained: many answers share each step, and those to one prompt
// share its computation. An answer depends on its prompt and its seed alone.
import { GenerationScheduler } from '../../generation/index.ts'
import { keepPackedWeights, type Model } from '../../models/index.ts'
import type { AnswerSampler } from './rollout-source.ts'
import type { ResolvedRollout } from './settings.ts'

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
