// Rules that change the scores of the next token before one is chosen, the same for greedy choice, draws and beams. A rule sees
// one row: plain numbers, no tensors.
import type { GenerationSettings } from './options.ts'

export interface RowContext {
  /** Prompt (without padding) and text so far; the text alone where an encoder has the prompt. */
  ids: readonly number[]
  /** How many of `ids` are new. */
  newTokens: number
}

/** Changes `scores`, [V], in place. */
export type ScoreRule = (scores: Float32Array, row: RowContext) => void

/** @source arXiv:1909.05858, section 4.1 */
export const repetitionPenalty =
  (penalty: number): ScoreRule =>
  (scores, { ids }) => {
    for (const id of new Set(ids)) scores[id] = scores[id] < 0 ? scores[id] * penalty : scores[id] / penalty
  }

/** Forbids each token that would repeat a run of `size` tokens. */
export const noRepeatNgram =
  (size: number): ScoreRule =>
  (scores, { ids }) => {
    const start = ids.length - size + 1
    if (start < 0) return
    for (let i = 0; i + size <= ids.length; i++) {
      let same = true
      for (let j = 0; j < size - 1 && same; j++) same = ids[i + j] === ids[start + j]
      if (same) scores[ids[i + size - 1]] = Number.NEGATIVE_INFINITY
    }
  }

export const neverTokens =
  (ids: readonly number[]): ScoreRule =>
  (scores) => {
    for (const id of ids) if (id < scores.length) scores[id] = Number.NEGATIVE_INFINITY
  }

export const noEndBefore = (minNewTokens: number, eosTokenIds: readonly number[]): ScoreRule => {
  const forbid = neverTokens(eosTokenIds)
  return (scores, row) => {
    if (row.newTokens < minNewTokens) forbid(scores, row)
  }
}

export const firstToken =
  (id: number): ScoreRule =>
  (scores, { newTokens }) => {
    if (newTokens === 0) scores.fill(Number.NEGATIVE_INFINITY)[id] = 0
  }

/** The rules that settings ask for, in the order that transformers applies them. */
export const scoreRules = (settings: GenerationSettings): ScoreRule[] => {
  const rules: ScoreRule[] = []
  const { repetitionPenalty: penalty, noRepeatNgramSize: size, eosTokenIds = [] } = settings
  if (penalty !== 1) rules.push(repetitionPenalty(penalty))
  if (size > 0) rules.push(noRepeatNgram(size))
  if (settings.minNewTokens > 0 && eosTokenIds.length > 0) rules.push(noEndBefore(settings.minNewTokens, eosTokenIds))
  if (settings.forcedFirstTokenId !== undefined) rules.push(firstToken(settings.forcedFirstTokenId))
  if (settings.badTokenIds.length > 0) rules.push(neverTokens(settings.badTokenIds))
  return rules
}
