// Predictions of masked language models: the most likely tokens for each mask of a text.
import { z } from 'zod'
import { ConfigError, parseConfig, show } from '../../core/index.ts'
import { inferenceMode, scope, tensor } from '../../tensor/index.ts'
import type { InferenceModel } from '../load.ts'
import { definePrediction } from './prediction.ts'

/** A token that may fill a mask, with its probability. */
export interface MaskCandidate {
  token: string
  probability: number
}

/** A text with its masks filled. */
export interface FilledText {
  text: string
  /** The text with the most likely token in each mask. */
  filled: string
  /** Candidates of each mask, most likely first. */
  masks: MaskCandidate[][]
}

const mostLikely = (probabilities: Float32Array, count: number): { id: number; probability: number }[] => {
  const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a])
  return order.slice(0, count).map((id) => ({ id, probability: probabilities[id] }))
}

const fillOptions = z.strictObject({
  topK: z.int().positive().max(1000).default(5).describe('candidates shown per mask'),
})

/**
 * Fills the mask tokens of a text.
 * `topK` is the number of candidates per mask (default: 5).
 * @throws ConfigError for a tokenizer without a mask token, a text without a mask, or one that is too long
 */
export const fillMask = (
  { model, tokenizer }: InferenceModel,
  text: string,
  options: { topK?: number } = {},
): FilledText => {
  const { topK } = parseConfig(fillOptions, options, 'options of fillMask')
  if (typeof text !== 'string')
    throw new ConfigError(`Expected a text for \`fillMask\`, got ${show(text)}. Call it for each text.`)
  const mask = tokenizer.special.mask
  if (mask === undefined) throw new ConfigError('Expected a tokenizer with a mask token, got one without.')
  const ids = Array.from(tokenizer.encode(text).ids)
  const positions = ids.flatMap((id, i) => (id === mask.id ? [i] : []))
  if (positions.length === 0)
    throw new ConfigError(
      `Expected at least one ${mask.token} in the text, got ${JSON.stringify(text)}. Write it where a word is missing.`,
    )
  const { maxPositions = Number.POSITIVE_INFINITY } = model.facts
  if (ids.length > maxPositions)
    throw new ConfigError(`Expected at most ${maxPositions} tokens, got ${ids.length}. Shorten the text.`)
  const { device } = model.body.embedTokens
  const candidates = inferenceMode(() =>
    scope(() => {
      const logits = model.forward({ inputIds: tensor([ids], { dtype: 'int64', device }) }).logits
      const rows = logits
        .select(0, 0)
        .indexSelect(0, tensor(positions, { dtype: 'int64', device }))
        .to({ dtype: 'float32', device: 'cpu' })
      const all = rows.softmax(-1).toFloat32Array()
      const width = all.length / positions.length
      return positions.map((_, row) => mostLikely(all.subarray(row * width, (row + 1) * width), topK))
    }),
  )
  const filled = [...ids]
  positions.forEach((position, row) => {
    filled[position] = candidates[row][0].id
  })
  const masks = candidates.map((row) =>
    row.map(({ id, probability }) => ({ token: tokenizer.idToToken(id) ?? '', probability })),
  )
  return { text, filled: tokenizer.decode(filled, { skipSpecialTokens: true }), masks }
}

export const fillMaskPrediction = definePrediction({
  options: fillOptions,
  predict: fillMask,
  render: ({ filled, masks }: FilledText) =>
    [
      filled,
      ...masks.map(
        (row) => `  ${row.map(({ token, probability }) => `${token} ${(100 * probability).toFixed(1)} %`).join(' · ')}`,
      ),
    ].join('\n'),
})
