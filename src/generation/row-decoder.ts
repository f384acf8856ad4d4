// A forward pass of a decoder over rows of different lengths: the next tokens of each, end to end in one packed row.
// Independent of architectures, of how tokens are chosen, and of the order in which rows are computed.
import type { Body, Model } from '../models/index.ts'
import { positionRow } from '../nn/index.ts'
import { noGrad, scope, Tensor } from '../tensor/index.ts'
import { type LanguageModel, logitsOf } from './decoding-batch.ts'
import type { FixedSteps } from './fixed-steps.ts'
import type { Piece, SlotCache } from './slot-cache.ts'

/**
 * Runs the tokens through the model and caches them.
 * @param steps of the same model and cache, which compute what fits them
 * @returns logits after the last `wanted` tokens of each piece, float32 [n,V]
 */
export const nextLogits = (
  model: LanguageModel,
  cache: SlotCache,
  pieces: readonly Piece[],
  steps?: FixedSteps,
): Tensor => {
  if (steps?.fits(pieces)) return steps.logits(pieces)
  return cached(cache, pieces, () => {
    const rows = forward(model.body, cache, pieces)
    const [total] = rows.shape
    let at = 0
    const ends: bigint[] = []
    for (const { ids, wanted = 1 } of pieces) {
      at += ids.length
      for (let end = at - wanted; end < at; end++) ends.push(BigInt(end))
    }
    const { device } = model.body.embedTokens
    const last = total === ends.length ? rows : rows.indexSelect(0, Tensor.from(BigInt64Array.from(ends), { device }))
    return logitsOf(model, last)
  })
}

/** Runs the tokens through a decoder and caches them. @returns hidden states of all of them, [N,C] */
export const nextHidden = ({ body }: Pick<Model, 'body'>, cache: SlotCache, pieces: readonly Piece[]): Tensor =>
  cached(cache, pieces, () => forward(body, cache, pieces))

/** Runs a forward pass over the pieces; they are cached when it succeeds. */
const cached = (cache: SlotCache, pieces: readonly Piece[], run: () => Tensor): Tensor => {
  cache.begin(pieces)
  try {
    const result = scope(() => noGrad(run))
    cache.commit()
    return result
  } catch (error) {
    cache.cancel()
    throw error
  }
}

const forward = (body: Body, cache: SlotCache, pieces: readonly Piece[]): Tensor => {
  const total = pieces.reduce((sum, { ids }) => sum + ids.length, 0)
  const inputIds = new BigInt64Array(total)
  const positionIds = new BigInt64Array(total)
  const starts = new BigInt64Array(pieces.length + 1)
  let at = 0
  pieces.forEach(({ slot, ids }, piece) => {
    const before = cache.length(slot)
    ids.forEach((id, i) => {
      inputIds[at] = BigInt(id)
      positionIds[at++] = BigInt(before + i)
    })
    starts[piece + 1] = BigInt(at)
  })
  const { device } = body.embedTokens
  const { hidden } = body.forward({
    inputIds: Tensor.from(inputIds, { shape: [1, total], device }),
    positionIds: positionRow(positionIds, device),
    starts: Tensor.from(starts),
    cache: cache.layers,
  })
  return hidden.squeeze(0)
}
