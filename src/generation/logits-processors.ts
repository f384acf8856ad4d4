// Logits processors: changes to the logits before a token is chosen, for greedy decoding, sampling and beam search
// alike. Each works on one row of plain numbers.
import type { GenerationSettings } from './options.ts'

/** The sequence whose next token is chosen. */
interface RowContext {
  /** Ids of the prompt, without padding, and the text so far; with an encoder, the decoder's ids alone. */
  ids: readonly number[]
  /** Number of generated tokens among `ids`. */
  newTokens: number
}

/** Changes logits, or log-probabilities in beam search, [V], in place. */
export type LogitsProcessor = (scores: Float32Array, row: RowContext) => void

/** Makes tokens that occurred less likely. @source arXiv:1909.05858, section 4.1 */
const repetitionPenalty =
  (penalty: number): LogitsProcessor =>
  (scores, { ids }) => {
    for (const id of new Set(ids)) scores[id] = scores[id] < 0 ? scores[id] * penalty : scores[id] / penalty
  }

/** Excludes tokens that would repeat an n-gram of `size` tokens. */
const noRepeatNgram =
  (size: number): LogitsProcessor =>
  (scores, { ids }) => {
    const start = ids.length - size + 1
    if (start < 0) return
    for (let i = 0; i + size <= ids.length; i++) {
      let same = true
      for (let j = 0; j < size - 1 && same; j++) same = ids[i + j] === ids[start + j]
      if (same) scores[ids[i + size - 1]] = Number.NEGATIVE_INFINITY
    }
  }

/** Excludes tokens. */
const suppressTokens =
  (ids: readonly number[]): LogitsProcessor =>
  (scores) => {
    for (const id of ids) if (id < scores.length) scores[id] = Number.NEGATIVE_INFINITY
  }

/** Excludes end tokens until there are enough new tokens. */
const minNewTokens = (minNewTokens: number, eosTokenIds: readonly number[]): LogitsProcessor => {
  const forbid = suppressTokens(eosTokenIds)
  return (scores, row) => {
    if (row.newTokens < minNewTokens) forbid(scores, row)
  }
}

/** Forces the first generated token. */
const forcedFirstToken =
  (id: number): LogitsProcessor =>
  (scores, { newTokens }) => {
    if (newTokens === 0) scores.fill(Number.NEGATIVE_INFINITY)[id] = 0
  }

/**
 * Makes tokens of the text so far less likely: by `presence` once, and by `frequency` each time they occur. The prompt
 * does not count.
 */
export const occurrencePenalty =
  (presence: number, frequency: number): LogitsProcessor =>
  (scores, { ids, newTokens }) => {
    const counts = new Map<number, number>()
    for (let i = ids.length - newTokens; i < ids.length; i++) counts.set(ids[i], (counts.get(ids[i]) ?? 0) + 1)
    for (const [id, count] of counts) scores[id] -= presence + frequency * count
  }

/** Adds a number to the logits of some tokens. */
export const tokenBias =
  (bias: ReadonlyMap<number, number>): LogitsProcessor =>
  (scores) => {
    for (const [id, value] of bias) scores[id] += value
  }

/** The logits processors of the settings, in the order of transformers. */
export const logitsProcessors = (settings: GenerationSettings): LogitsProcessor[] => {
  const processors: LogitsProcessor[] = []
  const { repetitionPenalty: penalty, noRepeatNgramSize: size, eosTokenIds = [] } = settings
  if (penalty !== 1) processors.push(repetitionPenalty(penalty))
  if (size > 0) processors.push(noRepeatNgram(size))
  if (settings.minNewTokens > 0 && eosTokenIds.length > 0)
    processors.push(minNewTokens(settings.minNewTokens, eosTokenIds))
  if (settings.forcedBosTokenId !== undefined) processors.push(forcedFirstToken(settings.forcedBosTokenId))
  if (settings.suppressTokenIds.length > 0) processors.push(suppressTokens(settings.suppressTokenIds))
  return processors
}
