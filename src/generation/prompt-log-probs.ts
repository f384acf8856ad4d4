// Log-probabilities of the tokens of a given text, with the most likely tokens in their places. Independent of
// architectures and adapters.
import { ConfigError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { noGrad, scope, Tensor } from '../tensor/index.ts'
import { asLanguageModel, logitsOf } from './decoding-batch.ts'
import { type RankedToken, rankTokens, rowsOf } from './token-choice.ts'

/** Rows whose logits exist at a time. */
const chunkRows = 64

/** A token of a given text. */
export interface ScoredToken extends RankedToken {
  /** The most likely tokens in its place. */
  alternatives: RankedToken[]
}

/**
 * The tokens of a text after the first one, each with its log-probability after those before it.
 * @param top number of the most likely tokens to return for each place
 * @throws ConfigError for a model with an encoder, and for more tokens than it has positions
 */
export const promptLogProbs = (given: Model, ids: readonly number[], top = 0): ScoredToken[] => {
  const model = asLanguageModel(given, 'promptLogProbs')
  const { causal, maxPositions = Number.POSITIVE_INFINITY } = model.facts
  if (!causal)
    throw new ConfigError('`promptLogProbs` needs a decoder-only model, got one with an encoder. Choose another model.')
  if (ids.length > maxPositions)
    throw new ConfigError(`Expected at most ${maxPositions} tokens, got ${ids.length}. Shorten the text.`)
  if (ids.length < 2) return []
  const int64 = (values: readonly number[], shape: number[], device?: string) =>
    Tensor.from(BigInt64Array.from(values, BigInt), { shape, device })
  return noGrad(() =>
    scope(() => {
      const before = ids.length - 1
      const { hidden } = model.body.forward({
        inputIds: int64(ids.slice(0, before), [1, before], model.body.embedTokens.device),
        starts: int64([0, before], [2]),
      })
      const rows = hidden.squeeze(0)
      const scored: ScoredToken[] = []
      for (let from = 0; from < before; from += chunkRows)
        scope(() => {
          const count = Math.min(chunkRows, before - from)
          for (const [i, scores] of rowsOf(logitsOf(model, rows.narrow(0, from, count))).entries()) {
            const id = ids[from + i + 1]
            scored.push({ id, ...rankTokens(scores, id, top) })
          }
        })
      return scored
    }),
  )
}
