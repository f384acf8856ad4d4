// Log-probabilities of the tokens of a given text, with the most likely tokens in their places. Independent of
// architectures and adapters.
import { ConfigError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { noGrad, scope } from '../tensor/index.ts'
import { asLanguageModel, type LanguageModel, logitsOf } from './decoding-batch.ts'
import { forEachPart, type TextPartsOptions } from './text-parts.ts'
import { type RankedToken, rankTokens, rowsOf } from './token-choice.ts'

/** Rows whose logits exist at a time. */
const chunkRows = 64

/** A token of a given text. */
export interface ScoredToken extends RankedToken {
  /** The most likely tokens in its place. */
  alternatives: RankedToken[]
}

/** How the tokens of a text are scored. */
export interface PromptLogProbsOptions extends TextPartsOptions {
  /** Number of the most likely tokens to return for each place (default: 0). */
  top?: number
}

/**
 * The tokens of a text after the first one, each with its log-probability after those before it. Long texts are computed in parts,
 * between which other work of the process runs.
 * @throws ConfigError for a model with an encoder, and for more tokens than it has positions; the reason of the signal
 */
export const promptLogProbs = async (
  given: Model,
  ids: readonly number[],
  { top = 0, ...options }: PromptLogProbsOptions = {},
): Promise<ScoredToken[]> => {
  const model = asLanguageModel(given, 'promptLogProbs')
  const { causal, maxPositions = Number.POSITIVE_INFINITY } = model.facts
  if (!causal)
    throw new ConfigError('`promptLogProbs` needs a decoder-only model, got one with an encoder. Choose another model.')
  if (ids.length > maxPositions)
    throw new ConfigError(`Expected at most ${maxPositions} tokens, got ${ids.length}. Shorten the text.`)
  const scored: ScoredToken[] = []
  await forEachPart(
    model,
    ids.slice(0, -1),
    (hidden, first, active) => {
      const [count] = hidden.shape
      for (let from = 0; from < count; from += chunkRows)
        scope(() => {
          const rows = hidden.narrow(0, from, Math.min(chunkRows, count - from))
          // The adapters of a model change neither its head nor its kind.
          for (const [i, scores] of rowsOf(noGrad(() => logitsOf(active as LanguageModel, rows))).entries()) {
            const id = ids[first + from + i + 1]
            scored.push({ id, ...rankTokens(scores, id, top) })
          }
        })
    },
    options,
  )
  return scored
}
