// Which hidden states of a body are features: the layer, and the pooling of a sequence's tokens into one vector.
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import { type BodyInputs, type BodyOutputs, firstTokensOf } from '../models/index.ts'
import { arange, cat, ones, type Tensor, upload } from '../tensor/index.ts'

/** Names of the poolings. */
export const poolings = ['mean', 'first', 'last', 'max', 'tokens'] as const
/** How the token vectors of a sequence become features. */
export type FeaturePooling = (typeof poolings)[number]

const lastLayers = /^mean-last-([1-9]\d{0,3})$/

/** A config field that chooses the layer. */
export const layerField = z
  .union([z.int(), z.string().regex(/^(last|mean-last-[1-9]\d{0,3})$/)])
  .describe(
    'layer of the hidden states: last, an index (0: embeddings, -1: last layer), or mean-last-N for the mean of the last N layers',
  )

/** Whether the body must return every layer's output. */
const needsAllLayers = (layer: string | number): boolean => layer !== 'last'

/** The inputs of a forward pass that computes only the hidden states that are needed. */
export const bodyInputsFor = (inputs: BodyInputs, layer: string | number, pooling: FeaturePooling): BodyInputs => {
  const { starts } = inputs
  if (needsAllLayers(layer)) return { ...inputs, allHidden: true }
  return pooling === 'first' && starts !== undefined
    ? { ...inputs, read: firstTokensOf(starts, inputs.inputIds.device) }
    : inputs
}

/**
 * Hidden states of a layer: [B,T,C], or [1,rows,C] where only the first tokens were computed.
 * @throws ConfigError for a layer that the body does not have
 */
export const layerVectors = ({ hidden, allHidden }: BodyOutputs, layer: string | number): Tensor => {
  if (!needsAllLayers(layer)) return hidden
  if (allHidden === undefined)
    throw new ConfigError(`Expected "last" for \`layer\`, the only layer that this architecture returns, got ${layer}.`)
  const count = Number(lastLayers.exec(String(layer))?.[1] ?? 0)
  if (count > 0) {
    if (count >= allHidden.length)
      throw new ConfigError(
        `Expected at most mean-last-${allHidden.length - 1} for \`layer\`, the number of layers of the model, got ${layer}.`,
      )
    const chosen = allHidden.slice(-count)
    return chosen
      .slice(1)
      .reduce((sum, each) => sum.add(each), chosen[0])
      .div(count)
  }
  const found = allHidden.at(Number(layer))
  if (found !== undefined) return found
  throw new ConfigError(
    `Expected ${-allHidden.length} to ${allHidden.length - 1} for \`layer\` of a model with ${allHidden.length - 1} layers, got ${layer}.`,
  )
}

type Rows = Pick<BodyInputs, 'attentionMask' | 'starts'>

const edgesOf = (starts: Tensor): number[] => (starts.toArray() as (number | bigint)[]).map(Number)

/** One vector [1,C] of each packed row, from its tokens alone. */
const eachRow = (hidden: Tensor, starts: Tensor, vectorOf: (row: Tensor) => Tensor): Tensor => {
  const edges = edgesOf(starts)
  const vectors = edges.slice(1).map((end, i) => vectorOf(hidden.narrow(0, edges[i], end - edges[i])))
  return vectors.length === 1 ? vectors[0] : cat(vectors, 0)
}

/** Vectors of some tokens [rows,C]. Starts stay on the CPU, as they decide shapes; the places that are read from them do not. */
const tokensAt = (hidden: Tensor, places: Tensor): Tensor => hidden.indexSelect(0, upload(places, hidden.device))

type Pool<Where> = (hidden: Tensor, where: Where) => Tensor

/** Packed rows: [N,C] and their starts -> [rows,C]. */
const packed: Record<FeaturePooling, Pool<Tensor>> = {
  first: (hidden, starts) => tokensAt(hidden, starts.narrow(0, 0, starts.shape[0] - 1)),
  last: (hidden, starts) => tokensAt(hidden, starts.narrow(0, 1, starts.shape[0] - 1).sub(1)),
  // Row by row: `indexAdd_` starts threads for any number of rows, which takes longer than the sums.
  mean: (hidden, starts) => eachRow(hidden, starts, (row) => row.sum(0, { keepdim: true }).div(row.shape[0])),
  max: (hidden, starts) => eachRow(hidden, starts, (row) => row.amax(0, { keepdim: true })),
  tokens: (hidden) => hidden,
}

/** Padded rows: [B,T,C] and the attention mask, bool [B,T] -> [rows,C]. */
const padded: Record<FeaturePooling, Pool<Tensor>> = {
  first: (hidden) => hidden.select(1, 0),
  last(hidden, seen) {
    const [rows, length, width] = hidden.shape
    const places = arange(length, { device: hidden.device }).mul(seen.to('int64')).argmax(1)
    return hidden.gather(1, places.view([rows, 1, 1]).expand([rows, 1, width])).squeeze(1)
  },
  mean(hidden, seen) {
    const counted = seen.to(hidden.dtype).unsqueeze(2) // [B,T,1]
    return hidden.mul(counted).sum(1).div(counted.sum(1))
  },
  max: (hidden, seen) => hidden.maskedFill(seen.unsqueeze(2).logicalNot(), Number.NEGATIVE_INFINITY).amax(1),
  tokens: (hidden, seen) => hidden.flatten(0, 1).indexSelect(0, seen.flatten().nonzero().squeeze(1)),
}

/** float32 [rows,C] of the outputs for `bodyInputsFor`; with `tokens`, a row for each token, without padding. */
export const poolFeatures = (
  outputs: BodyOutputs,
  { attentionMask, starts }: Rows,
  { layer, pooling }: { layer: string | number; pooling: FeaturePooling },
): Tensor => {
  const wide = layerVectors(outputs, layer).to('float32')
  if (outputs.onlyRead) return wide.squeeze(0)
  if (starts !== undefined) return packed[pooling](wide.squeeze(0), starts.to('int64'))
  const [rows, length] = wide.shape
  const seen = attentionMask?.ne(0) ?? ones([rows, length], { dtype: 'bool', device: wide.device })
  return padded[pooling](wide, seen)
}
