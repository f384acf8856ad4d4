// One long text of a decoder, a part at a time through a KV cache, so that other work of the process runs between the parts: its hidden
// states, and the log-probabilities of its tokens with the most likely ones in their places. Independent of architectures and adapters.
import { setImmediate } from 'node:timers/promises'
import { ConfigError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { noGrad, scope, type Tensor } from '../tensor/index.ts'
import { asLanguageModel, type LanguageModel, logitsOf } from './decoding-batch.ts'
import { nextHidden } from './row-decoder.ts'
import { SlotCache } from './slot-cache.ts'
import { type RankedToken, rankTokens, rowsOf } from './token-choice.ts'

/** How a text is computed in parts. */
export interface TextPartsOptions {
  /** Maximum number of tokens of a part (default: 256). */
  partTokens?: number
  signal?: AbortSignal
  /** Called before each part; other work runs meanwhile (default: a turn of the event loop). */
  turn?(): Promise<unknown>
  /** Runs the computation of a part, such as with the adapters of the text (default: with the model as it is). */
  run?<Result>(compute: (model: Model) => Result): Result
}

/**
 * Calls `use` with the hidden states [n,C] of each part of a text, which are freed afterwards unless they are kept.
 * @throws the reason of the signal, before the next part
 */
export const forEachPart = async (
  model: Model,
  ids: readonly number[] | Uint32Array,
  use: (hidden: Tensor, from: number, model: Model) => void,
  { partTokens = 256, signal, turn = setImmediate, run = (compute) => compute(model) }: TextPartsOptions = {},
): Promise<void> => {
  const cache = new SlotCache(model.facts.numLayers, ids.length)
  cache.resize(1)
  try {
    for (let from = 0; from < ids.length; from += partTokens) {
      await turn()
      signal?.throwIfAborted()
      const piece = { slot: 0, ids: Array.from(ids.slice(from, from + partTokens)) }
      run((active) => scope(() => use(nextHidden(active, cache, [piece]), from, active)))
    }
  } finally {
    cache.free()
  }
}

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
