// Positions in front of every row that hold no token of the text: what the batch must say of them, and a cache that keeps their keys
// and values apart from the text's. Knows no method.
import { z } from 'zod'
import { ConfigError, ShapeError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { LayerCache } from '../../nn/index.ts'
import { cat, full, keep, type Tensor, zeros } from '../../tensor/index.ts'
import type { PackedDocuments } from './packed-documents.ts'

/** Vectors in front of a text take far larger steps than a head bears: its rate is that of the other methods. */
const usualRate = 1e-3

export const headRateField = z
  .number()
  .positive()
  .optional()
  .describe(
    `learning rate of the head, where one is trained, over that of the virtual tokens; unless given, such that the method's own rate comes to ${usualRate}`,
  )

/** For `learningRateScale`. @param learningRate the method's own */
export const slowerHead =
  (learningRate: number, headRate = usualRate / learningRate) =>
  (path: string): number =>
    path.startsWith('head.') ? headRate : 1

/** Whether the model is an encoder with a decoder. @throws ConfigError where the decoder is left out: PEFT has no such virtual tokens */
export const hasEncoder = ({ facts, body, definition, headType }: Model, method: string): boolean => {
  if (facts.decoderStartTokenId === undefined) return false
  for (const [path] of body.children()) if (path === 'decoder') return true
  throw new ConfigError(
    `Expected a head that has a decoder for \`${method}\` on ${definition.type}, got ${headType}. Choose another variant, such as lora.`,
  )
}

/** @throws ShapeError where the rows are longer than the model's positions with them */
export const checkRoom = (length: number, virtual: number, positions: number | undefined): void => {
  if (positions !== undefined && length + virtual > positions)
    throw new ShapeError(
      `Expected rows of at most ${positions - virtual} tokens beside ${virtual} virtual ones, got ${length}. Shorten the rows.`,
    )
}

/** @throws ConfigError where virtual tokens leave no position to a text */
export const checkCount = (virtual: number, { definition, facts: { maxPositions } }: Model): void => {
  if (maxPositions !== undefined && virtual >= maxPositions)
    throw new ConfigError(
      `Expected at most ${maxPositions - 1} \`virtualTokens\`, since ${definition.type} has ${maxPositions} positions here and a text needs some, got ${virtual}.`,
    )
}

/** The mask of [B,S] with the virtual positions, all seen, in front. */
export const widenMask = (mask: Tensor | undefined, virtual: number): Tensor | undefined =>
  mask === undefined
    ? undefined
    : cat([full([mask.shape[0], virtual], 1, { device: mask.device }).to(mask.dtype), mask], 1)

/** int64 [B,P] of one id in front of the ids. */
export const widenIds = (ids: Tensor, virtual: number, fill: number): Tensor =>
  cat([full([ids.shape[0], virtual], fill, { dtype: ids.dtype, device: ids.device }), ids], 1)

export const widenTypes = (types: Tensor | undefined, virtual: number): Tensor | undefined =>
  types === undefined
    ? undefined
    : cat([zeros([types.shape[0], virtual], { dtype: types.dtype, device: types.device }), types], 1)

export interface KeysAndValues {
  /** [1,P,K,D], or [P,K·D] */
  key: Tensor
  value: Tensor
}

const inFront = (virtual: Tensor, own: Tensor): Tensor => {
  const [batch, , heads, size] = own.shape
  return cat([virtual.to(own.dtype).reshape([1, -1, heads, size]).expand([batch, -1, heads, size]), own], 1)
}

/** Gives the virtual keys and values before those of a row, with or without a cache of the row's own. */
export const prefixed = (virtual: KeysAndValues, inner: LayerCache | undefined): LayerCache => ({
  append: (key, value) => {
    const own = inner?.append(key, value) ?? { key, value }
    return { key: inFront(virtual.key, own.key), value: inFront(virtual.value, own.value) }
  },
  source: (make) => inner?.source(make) ?? make(),
})

/** The same before those of each document of a packed row. All rows come at once, so nothing is kept for later. */
export const prefixedApart = (virtual: KeysAndValues, documents: PackedDocuments): LayerCache => {
  const append = (key: Tensor, value: Tensor) => ({
    key: documents.repeat(inFront(virtual.key, key)),
    value: documents.repeat(inFront(virtual.value, value)),
  })
  return {
    append,
    // The last layer of an encoder may ask for some tokens alone; its source is the row itself.
    source: (make) => {
      const { key, value } = make()
      return append(key, value)
    },
  }
}

/** At a first call with virtual tokens in the rows: keeps theirs apart, so that the cache counts the text alone. */
export const splitting = (
  virtual: number,
  inner: LayerCache,
  keepApart: (pair: KeysAndValues) => void,
): LayerCache => ({
  append: (key, value) => {
    const first = (x: Tensor) => keep(x.narrow(0, 0, 1).narrow(1, 0, virtual).clone())
    const rest = (x: Tensor) => x.narrow(1, virtual, x.shape[1] - virtual)
    keepApart({ key: first(key), value: first(value) })
    inner.append(rest(key), rest(value))
    return { key, value }
  },
  source: (make) => inner.source(make),
})
