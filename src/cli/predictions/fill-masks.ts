// `predict` of masked language models: the likeliest words for each mask of a text.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { inferenceMode, scope, tensor } from '../../tensor/index.ts'
import { definePrediction } from './prediction.ts'

export interface Candidate {
  token: string
  probability: number
}

export interface FilledText {
  text: string
  /** With the likeliest word in each mask. */
  filled: string
  /** The likeliest words of each mask, best first. */
  masks: Candidate[][]
}

export const fillMasks = definePrediction({
  options: z.strictObject({
    topK: z.int().positive().max(1000).default(5).describe('likeliest words shown for a mask'),
  }),
  predict({ model, tokenizer }, text, { topK }): FilledText {
    const mask = tokenizer.special.mask
    if (mask === undefined) throw new ConfigError('Expected a tokenizer with a mask token, got one without.')
    const ids = Array.from(tokenizer.encode(text).ids)
    const places = ids.flatMap((id, i) => (id === mask.id ? [i] : []))
    if (places.length === 0)
      throw new ConfigError(
        `Expected at least one ${mask.token} in the text, got ${JSON.stringify(text)}. Put it where a word is missing.`,
      )
    const { maxPositions = Number.POSITIVE_INFINITY } = model.facts
    if (ids.length > maxPositions)
      throw new ConfigError(`Expected at most ${maxPositions} tokens, got ${ids.length}. Shorten the text.`)
    const { device } = model.body.embedTokens.weight
    const best = inferenceMode(() =>
      scope(() => {
        const logits = model.forward({ inputIds: tensor([ids], { dtype: 'int64', device }) }).logits
        const rows = logits
          .select(0, 0)
          .indexSelect(0, tensor(places, { dtype: 'int64', device }))
          .to({ dtype: 'float32', device: 'cpu' })
        const all = rows.softmax(-1).toFloat32Array()
        const width = all.length / places.length
        return places.map((_, row) => likeliest(all.subarray(row * width, (row + 1) * width), topK))
      }),
    )
    const shown = [...ids]
    places.forEach((place, row) => {
      shown[place] = best[row][0].id
    })
    const masks = best.map((row) =>
      row.map(({ id, probability }) => ({ token: tokenizer.idToToken(id) ?? '', probability })),
    )
    return { text, filled: tokenizer.decode(shown, { skipSpecialTokens: true }), masks }
  },
  render: ({ filled, masks }) =>
    [
      filled,
      ...masks.map(
        (row) => `  ${row.map(({ token, probability }) => `${token} ${(100 * probability).toFixed(1)} %`).join(' · ')}`,
      ),
    ].join('\n'),
})

const likeliest = (probabilities: Float32Array, count: number): { id: number; probability: number }[] => {
  const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a])
  return order.slice(0, count).map((id) => ({ id, probability: probabilities[id] }))
}
