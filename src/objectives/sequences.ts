// Collates examples into a batch of sequences without attention between them, padded or packed, and returns the index
// of each token in the batch. Independent of labels.
import { DataError } from '../core/index.ts'
import { collatePadded, collateUnpadded, type IdArray, type Row } from '../data/index.ts'
import type { BodyInputs } from '../models/index.ts'
import { Tensor } from '../tensor/index.ts'
import type { CollateOptions } from './objective.ts'

/** Token ids of one or more sequences: an example, made from a row of the sampler. */
export interface Sequences {
  ids: Uint32Array
  /** Start index of each sequence; the first is 0. */
  starts: readonly number[]
  /** Segment ids (token type ids), for objectives with segments. */
  typeIds?: Uint8Array
}

/** A collated batch, and where its sequences are. */
export interface PlacedBatch {
  inputs: BodyInputs
  /** Tokens without padding. */
  tokens: number
  /** Positions of the batch, including padding: B * T. */
  places: number
  /** Index of the first token of each sequence of each example, in order, among the positions. */
  firsts: Int32Array
}

/** Collates sequences into a padded or packed batch. @throws DataError without examples */
export const placeSequences = (examples: readonly Sequences[], padId: number, how: CollateOptions): PlacedBatch => {
  if (examples.length === 0) throw new DataError('Expected at least one example for a batch, got none.')
  const typed = examples[0].typeIds !== undefined
  const tokens = examples.reduce((sum, { ids }) => sum + ids.length, 0)
  const whole = { tokens, device: how.device }
  const asRow = ({ ids, starts }: { ids: IdArray; starts: readonly number[] }): Row => ({
    ids,
    starts: starts as number[],
    part: 0,
  })
  if (!how.padded) {
    const { inputIds, starts } = collateUnpadded(examples.map(asRow), { separateDocuments: true })
    const typeIds = typed ? new Uint8Array(tokens) : undefined
    let offset = 0
    for (const { ids, typeIds: own } of examples) {
      if (own !== undefined) typeIds?.set(own, offset)
      offset += ids.length
    }
    const inputs: BodyInputs = {
      inputIds: toInt64(inputIds, [1, tokens], how.device),
      starts: toInt64(starts, [starts.length]),
    }
    if (typeIds !== undefined) inputs.typeIds = toInt64(typeIds, [1, tokens], how.device)
    return { inputs, tokens: whole.tokens, places: tokens, firsts: starts.subarray(0, -1) }
  }
  const rows: Row[] = []
  const types: Uint8Array[] = []
  for (const { ids, starts, typeIds } of examples)
    for (let i = 0; i < starts.length; i++) {
      const end = starts[i + 1] ?? ids.length
      rows.push(asRow({ ids: ids.subarray(starts[i], end), starts: [0] }))
      if (typeIds !== undefined) types.push(typeIds.subarray(starts[i], end))
    }
  const { multipleOf, side = 'right' } = how
  const { inputIds, attentionMask, positions, length } = collatePadded(rows, { padId, multipleOf, side })
  const firsts = Int32Array.from(rows, ({ ids }, row) => row * length + (side === 'left' ? length - ids.length : 0))
  const shape = [rows.length, length]
  const inputs: BodyInputs = { inputIds: toInt64(inputIds, shape, how.device) }
  // Attention without a mask is faster, and needs none if there is no padding.
  if (tokens < rows.length * length)
    inputs.attentionMask = Tensor.from(attentionMask, { shape, dtype: 'uint8', device: how.device })
  if (side === 'left') inputs.positionIds = toInt64(positions, shape, how.device)
  if (typed) {
    const typeIds = new Uint8Array(rows.length * length)
    for (let row = 0; row < types.length; row++) typeIds.set(types[row], firsts[row])
    inputs.typeIds = toInt64(typeIds, shape, how.device)
  }
  return {
    inputs,
    tokens,
    places: rows.length * length,
    firsts,
  }
}

/** Indices in the batch of the tokens at the ascending indices `picked(example)` of each example. */
export const placesOf = (
  examples: readonly Sequences[],
  firsts: Int32Array,
  picked: (index: number) => Uint32Array,
): Int32Array => {
  let total = 0
  for (let e = 0; e < examples.length; e++) total += picked(e).length
  const places = new Int32Array(total)
  let at = 0
  let sequence = 0
  for (let e = 0; e < examples.length; e++) {
    const { starts } = examples[e]
    const positions = picked(e)
    let own = 0
    for (let p = 0; p < positions.length; p++) {
      while (own + 1 < starts.length && positions[p] >= starts[own + 1]) own++
      places[at++] = firsts[sequence + own] + positions[p] - starts[own]
    }
    sequence += starts.length
  }
  return places
}

/** Scatters per-token values of the examples to their positions in the batch; `fill` at padding. */
export const spread = (
  examples: readonly Sequences[],
  { firsts, places }: Pick<PlacedBatch, 'firsts' | 'places'>,
  values: (index: number) => ArrayLike<number> & { subarray(from: number, to: number): ArrayLike<number> },
  fill: number,
): Int32Array => {
  const all = new Int32Array(places).fill(fill)
  let sequence = 0
  for (let e = 0; e < examples.length; e++) {
    const { ids, starts } = examples[e]
    const own = values(e)
    for (let i = 0; i < starts.length; i++)
      all.set(own.subarray(starts[i], starts[i + 1] ?? ids.length), firsts[sequence++])
  }
  return all
}

/** An int64 tensor. */
export const toInt64 = (values: Int32Array | Uint8Array, shape: readonly number[], device?: string): Tensor =>
  Tensor.from(values, { shape, dtype: 'int64', device })

/** A sequence of an example. */
export interface ShownTokens {
  /** Role of the sequence (`chosen`, `rejected`, `input`, `target`), or its class. */
  name?: string
  /** Token ids of the text before masking. */
  ids: readonly number[]
  /** Ids that the model reads instead, such as a mask, by the token's index. */
  seen?: ReadonlyMap<number, number>
  /** The label of a token, by its index, where it is no token itself. */
  classes?: ReadonlyMap<number, string>
  /** Index among the label losses of each trained token, by the token's index. */
  losses: ReadonlyMap<number, number>
}

/** The sequences of a row that has several: indices from `start` to `end`. */
export const sequencesOf = (starts: readonly number[], length: number): { start: number; end: number }[] =>
  starts.map((start, i) => ({ start, end: starts[i + 1] ?? length }))

/** A sequence whose tokens from `first` on are trained, with losses from `firstLoss` on. */
export const trainedFrom = (
  ids: ArrayLike<number>,
  first: number,
  { name, firstLoss = 0 }: { name?: string; firstLoss?: number } = {},
): ShownTokens => {
  const losses = new Map<number, number>()
  for (let i = first; i < ids.length; i++) losses.set(i, firstLoss + i - first)
  return { ...(name === undefined ? {} : { name }), ids: Array.from(ids), losses }
}

/** An input without trained tokens and a target whose tokens are all trained. */
export const inputAndTarget = (input: ArrayLike<number>, target: ArrayLike<number>): ShownTokens[] => [
  trainedFrom(input, input.length, { name: 'input' }),
  trainedFrom(target, 0, { name: 'target' }),
]
