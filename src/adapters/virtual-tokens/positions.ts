// Virtual positions in front of every row: masks and ids for them, and caches that keep their keys and values separate
// from those of the text. Independent of methods.
import { z } from 'zod'
import { ConfigError, ShapeError } from '../../core/index.ts'
import type { BodyInputs, Model } from '../../models/index.ts'
import type { Attention, LayerCache } from '../../nn/index.ts'
import { cat, embedding, full, keep, randint, Tensor, zeros } from '../../tensor/index.ts'
import type { AttachContext } from '../adapter.ts'
import { addHook, LayerAdapter, removeHook } from '../layer-adapter.ts'

// Packed rows with virtual tokens: several documents in one row, each with its own virtual positions in front. One
// lookup turns a row of virtual positions followed by the texts into that form. Independent of methods.

/** Index tables of one packed batch. */
export class PackedDocuments {
  /** Cumulative lengths including the virtual positions, int64 [n+1] on the CPU. */
  readonly starts: Tensor
  /** Length of the longest document, without virtual positions. */
  readonly longest: number
  readonly #order: Tensor
  readonly #text: Tensor

  /**
   * @param starts cumulative lengths without virtual positions, int64 [n+1] on the CPU
   * @param virtual number of virtual positions of a document
   * @param device where the tokens are
   */
  constructor(starts: Tensor, virtual: number, device: string) {
    const edges = Array.from(starts.to('int64').toTypedArray() as BigInt64Array, Number)
    const count = edges.length - 1
    const tokens = edges[count]
    const order = new BigInt64Array(count * virtual + tokens)
    const text = new BigInt64Array(tokens)
    let longest = 0
    let at = 0
    for (let document = 0; document < count; document++) {
      const [from, to] = [edges[document], edges[document + 1]]
      longest = Math.max(longest, to - from)
      for (let place = 0; place < virtual; place++) order[at++] = BigInt(place)
      for (let token = from; token < to; token++) {
        text[token] = BigInt(at)
        order[at++] = BigInt(virtual + token)
      }
    }
    const wide = BigInt64Array.from(edges, (edge, document) => BigInt(edge + document * virtual))
    this.starts = Tensor.from(wide, { shape: [count + 1] })
    this.longest = longest
    this.#order = Tensor.from(order, { shape: [order.length], device })
    this.#text = Tensor.from(text, { shape: [tokens], device })
  }

  /** Repeats the first P ids before each document: [1,P+N] -> [1,n·P+N]. */
  repeatIds(ids: Tensor): Tensor {
    return ids.indexSelect(1, this.#order)
  }

  /** The same for vectors: [1,P+N,...] -> [1,n·P+N,...]. Gradients of the copies are summed in float32. */
  repeat(rows: Tensor): Tensor {
    return rowsAt(rows, this.#order)
  }

  /** Drops the virtual positions: [1,n·P+N,...] -> [1,N,...]. */
  textOf(rows: Tensor): Tensor {
    return rowsAt(rows, this.#text)
  }

  /** The same for ids: [1,n·P+N] -> [1,N]. */
  textIdsOf(ids: Tensor): Tensor {
    return ids.indexSelect(1, this.#text)
  }
}

/** [1,R,...] at int64 [M] -> [1,M,...] */
const rowsAt = (rows: Tensor, places: Tensor): Tensor => {
  const [, count, ...rest] = rows.shape
  return embedding(rows.reshape([count, -1]), places).view([1, places.shape[0], ...rest])
}

/** The documents of a packed batch; undefined for padded rows. @throws ShapeError for packed rows with a cache */
export const packedDocuments = (
  { inputIds, starts, cache }: BodyInputs,
  virtual: number,
): PackedDocuments | undefined => {
  if (starts === undefined) return undefined
  if (cache !== undefined)
    throw new ShapeError(
      'Expected no `cache` together with packed rows (`starts`), got one: a cache has one length for all rows. Pad the batch.',
    )
  return new PackedDocuments(starts, virtual, inputIds.device)
}

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

/**
 * Token ids, int64 [count]: those of the text, repeated or truncated to `count`; without a text, sampled from the
 * vocabulary.
 * @throws ConfigError for a text without tokens
 */
export const initialTokenIds = (
  model: Model,
  count: number,
  initialText: string | undefined,
  { generator, encode }: Pick<AttachContext, 'generator' | 'encode'>,
): Tensor => {
  const { weight } = model.body.embedTokens
  const { device } = weight
  if (initialText === undefined)
    return randint(0, weight.shape[0], [count], { generator, dtype: 'int64' }).to({ device })
  if (encode === undefined)
    throw new ConfigError('`initialText` needs a tokenizer: pass its `encode` to `applyAdapter`.')
  const ids = encode(initialText)
  if (ids.length === 0)
    throw new ConfigError('Expected at least one token in `initialText`, got none. Write a longer text.')
  const repeated = BigInt64Array.from({ length: count }, (_, at) => BigInt(ids[at % ids.length]))
  return Tensor.from(repeated, { shape: [count], device })
}

type AttentionWay = Attention['forward']

/** Passes the keys and values of an attention layer to a function. */
class CaptureHook extends LayerAdapter<Attention, AttentionWay> {
  readonly #cache: LayerCache

  constructor(capture: LayerCache['append']) {
    super()
    this.#cache = { append: capture, source: (make) => make() }
  }

  wrap(_: Attention, next: AttentionWay): AttentionWay {
    return (input, context, options = {}) => next(input, context, { ...options, cache: this.#cache })
  }
}

/**
 * Runs the base over tokens and passes on their keys and values in each of these layers. In front of a text, a decoder
 * attends to such keys and values as to the tokens themselves. In an encoder-decoder, both stacks run over the tokens.
 * @param ids int64 [P]
 * @param take gets the index of the layer with its keys and values, [P,K·D] each, which it must copy
 */
export const captureKeysAndValues = (
  model: Model,
  hosts: readonly Attention[],
  ids: Tensor,
  take: (layer: number, pair: KeysAndValues) => void,
): void => {
  const { training } = model
  const rows = (x: Tensor) => x.squeeze(0).flatten(1) // [1,P,K,D] -> [P,K·D]
  model.eval()
  const hooks = hosts.map((host, i) => {
    const hook = new CaptureHook((key, value) => {
      take(i, { key: rows(key), value: rows(value) })
      return { key, value }
    })
    addHook(host, hook)
    return { host, hook }
  })
  try {
    model.ready()
    const row = ids.unsqueeze(0)
    const isPair = model.facts.decoderStartTokenId !== undefined
    model.body.forward({ inputIds: row, ...(isPair && { decoderInputIds: row }) })
  } finally {
    for (const { host, hook } of hooks) removeHook(host, hook)
    if (training) model.train()
  }
}
