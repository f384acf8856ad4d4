// Virtual positions in front of every row: masks and ids for them, and caches that keep their keys and values separate
// from those of the text. Independent of methods.
import { z } from 'zod'
import { ConfigError, ShapeError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { LayerCache } from '../../nn/index.ts'
import { cat, full, keep, type Tensor, zeros } from '../../tensor/index.ts'
import type { PackedDocuments } from './packed-documents.ts'

/** Learning rate of a head. Virtual tokens need a far larger one, at which a head would diverge. */
const usualRate = 1e-3

/** Setting for the learning rate of the head. */
export const headRateRatioField = z
  .number()
  .positive()
  .optional()
  .describe(
    `ratio of the learning rate of a trained head to that of the virtual tokens (default: such that the head's is ${usualRate} at the method's own rate)`,
  )

/** `learningRateScale` of an attachment. @param learningRate default learning rate of the method */
export const headLearningRateScale =
  (learningRate: number, ratio = usualRate / learningRate) =>
  (path: string): number =>
    path.startsWith('head.') ? ratio : 1

/**
 * Whether the model is an encoder-decoder.
 * @throws ConfigError for its encoder alone, for which PEFT has no virtual tokens
 */
export const hasEncoder = ({ facts, body, definition, headType }: Model, method: string): boolean => {
  if (facts.decoderStartTokenId === undefined) return false
  for (const [path] of body.children()) if (path === 'decoder') return true
  throw new ConfigError(
    `\`${method}\` on ${definition.type} needs a head with a decoder, got ${headType}. Choose another method, such as lora.`,
  )
}

/** @throws ShapeError for rows that exceed the model's positions together with the virtual tokens */
export const checkLength = (length: number, virtual: number, positions: number | undefined): void => {
  if (positions !== undefined && length + virtual > positions)
    throw new ShapeError(
      `Expected rows of at most ${positions - virtual} tokens beside ${virtual} virtual tokens, got ${length}. Lower the maximum length.`,
    )
}

/** @throws ConfigError for so many virtual tokens that no position is left for the text */
export const checkCount = (virtual: number, { definition, facts: { maxPositions } }: Model): void => {
  if (maxPositions !== undefined && virtual >= maxPositions)
    throw new ConfigError(
      `Expected at most ${maxPositions - 1} \`virtualTokens\`, since this ${definition.type} has ${maxPositions} positions and the text needs some, got ${virtual}.`,
    )
}

/**
 * Positions after the virtual ones, for rows of different lengths.
 * @throws ShapeError as `checkLength`
 */
export const shiftPositions = (
  positionIds: Tensor | undefined,
  virtual: number,
  positions: number | undefined,
): Tensor | undefined => {
  if (positionIds !== undefined && positions !== undefined)
    checkLength(positionIds.max().item() + 1, virtual, positions)
  return positionIds?.add(virtual)
}

/** An attention mask [B,S] with the virtual positions, all visible, in front. */
export const widenMask = (mask: Tensor | undefined, virtual: number): Tensor | undefined =>
  mask === undefined
    ? undefined
    : cat([full([mask.shape[0], virtual], 1, { device: mask.device }).to(mask.dtype), mask], 1)

/** Ids [B,T] with P times one id in front. */
export const widenIds = (ids: Tensor, virtual: number, fill: number): Tensor =>
  cat([full([ids.shape[0], virtual], fill, { dtype: ids.dtype, device: ids.device }), ids], 1)

/** Segment ids [B,T] with P zeros in front. */
export const widenTypes = (types: Tensor | undefined, virtual: number): Tensor | undefined =>
  types === undefined
    ? undefined
    : cat([zeros([types.shape[0], virtual], { dtype: types.dtype, device: types.device }), types], 1)

/** Keys and values of virtual positions. */
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

/** The same before each document of a packed row. Packed rows have no cache, so nothing is stored. */
export const prefixedPacked = (virtual: KeysAndValues, documents: PackedDocuments): LayerCache => {
  const append = (key: Tensor, value: Tensor) => ({
    key: documents.repeat(inFront(virtual.key, key)),
    value: documents.repeat(inFront(virtual.value, value)),
  })
  return {
    append,
    // The last layer of an encoder may compute some tokens alone; its source is the row itself.
    source: (make) => {
      const { key, value } = make()
      return append(key, value)
    },
  }
}

/**
 * For the first call, whose rows contain the virtual tokens: stores their keys and values separately, so that the cache
 * has the text alone.
 */
export const cacheTextOnly = (
  virtual: number,
  inner: LayerCache,
  keepVirtual: (pair: KeysAndValues) => void,
): LayerCache => ({
  append: (key, value) => {
    const first = (x: Tensor) => keep(x.narrow(0, 0, 1).narrow(1, 0, virtual).clone())
    const rest = (x: Tensor) => x.narrow(1, virtual, x.shape[1] - virtual)
    keepVirtual({ key: first(key), value: first(value) })
    inner.append(rest(key), rest(value))
    return { key, value }
  },
  source: (make) => inner.source(make),
})
