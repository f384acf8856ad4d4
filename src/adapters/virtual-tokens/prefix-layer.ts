// Prefix tuning: trained keys and values in front of every row, in every layer; in an encoder-decoder, in every layer
// of the decoder.
import { ConfigError } from '../../core/index.ts'
import type { Body, BodyInputs, BodyOutputs, Model } from '../../models/index.ts'
import { Attention, type AttentionContext, Linear } from '../../nn/index.ts'
import { cat, type Dtype, empty, type Generator, keep, linear, type Tensor } from '../../tensor/index.ts'
import type { Attachment } from '../adapter.ts'
import { LayerAdapter } from '../layer-adapter.ts'
import {
  captureKeysAndValues,
  checkCount,
  checkLength,
  hasEncoder,
  type KeysAndValues,
  type PackedDocuments,
  packedDocuments,
  prefixed,
  prefixedPacked,
  shiftPositions,
  widenMask,
} from './positions.ts'

/** Size of a prefix. */
export interface PrefixShape {
  virtualTokens: number
  numLayers: number
  /** Width of the keys of one layer, K·D. */
  width: number
  /**
   * Hidden units of the network that computes the prefix from smaller vectors; without it the prefix is trained itself.
   */
  projection?: number
  /** The rows are those of the decoder of an encoder-decoder. */
  encoderDecoder: boolean
}

type BodyWay = (inputs: BodyInputs) => BodyOutputs

/** On the body: has the prefix of all layers, and widens masks and positions. */
export class PrefixBank extends LayerAdapter<Body, BodyWay> {
  /** [P, 2·layers·K·D]; with a projection [P, K·D] */
  embedding: Tensor
  inner?: Linear
  outer?: Linear
  readonly #shape: Readonly<PrefixShape>
  readonly #maxPositions: number | undefined
  /** Documents by the `starts` of a batch, which layers get; recomputed layers need them after the body is done. */
  readonly #documents = new WeakMap<Tensor, PackedDocuments>()

  constructor(
    shape: PrefixShape,
    like: { dtype: Dtype; device: string },
    maxPositions: number | undefined,
    generator: Generator,
  ) {
    super()
    this.#shape = shape
    this.#maxPositions = maxPositions
    const { virtualTokens, numLayers, projection, width } = shape
    this.embedding = keep(empty([virtualTokens, projection === undefined ? 2 * numLayers * width : width]))
    // As PyTorch initialises an embedding.
    this.embedding.normal_(0, 1, { generator })
    if (projection !== undefined) {
      this.inner = new Linear(width, projection)
      this.outer = new Linear(projection, 2 * numLayers * width)
      for (const layer of [this.inner, this.outer]) {
        const bound = layer.shape[1] ** -0.5
        layer.weight.uniform_(-bound, bound, { generator })
        layer.bias?.uniform_(-bound, bound, { generator })
      }
    }
    this.to({ dtype: like.dtype, device: like.device })
  }

  override get sharesKeys(): boolean {
    return false
  }

  /** Size of the prefix. */
  get shape(): Readonly<PrefixShape> {
    return this.#shape
  }

  wrap(_: Body, next: BodyWay): BodyWay {
    const { virtualTokens, encoderDecoder } = this.#shape
    return (inputs) => {
      const { pastLength = 0, positionIds } = inputs
      if (encoderDecoder)
        return next({
          ...inputs,
          decoderAttentionMask: widenMask(inputs.decoderAttentionMask, virtualTokens),
          pastLength: pastLength + virtualTokens,
        })
      // Rows of different lengths: each has its prefix in its own cache.
      if (inputs.cache?.[0]?.prepend !== undefined)
        return next({ ...inputs, positionIds: shiftPositions(positionIds, virtualTokens, this.#maxPositions) })
      const documents = packedDocuments(inputs, virtualTokens)
      if (documents !== undefined && inputs.starts !== undefined) this.#documents.set(inputs.starts, documents)
      checkLength(pastLength + (documents?.longest ?? inputs.inputIds.shape[1]), virtualTokens, this.#maxPositions)
      return next({
        ...inputs,
        attentionMask: widenMask(inputs.attentionMask, virtualTokens),
        positionIds: positionIds?.add(virtualTokens),
        pastLength: pastLength + virtualTokens,
      })
    }
  }

  /** Documents of the packed rows that a layer computes; undefined for padded rows. */
  documentsOf({ starts, keyStarts = starts }: AttentionContext): PackedDocuments | undefined {
    return keyStarts && this.#documents.get(keyStarts)
  }

  /** Prefix of one layer, computed where it is used, so that activation recomputation covers it too. */
  ofLayer(index: number): KeysAndValues {
    const { width } = this.#shape
    const columns = this.#columns(2 * index * width, 2 * width) // [P,2·K·D]
    return { key: columns.narrow(1, 0, width), value: columns.narrow(1, width, width) }
  }

  /** The prefix of all layers, as in files. */
  whole(): Tensor {
    return this.#columns(0, 2 * this.#shape.numLayers * this.#shape.width)
  }

  /** Sets the prefix of one layer. @param key [P,K·D], as `value` */
  setLayer(index: number, key: Tensor, value: Tensor): void {
    const { width } = this.#shape
    this.embedding.narrow(1, 2 * index * width, 2 * width).copy_(cat([key, value], 1))
  }

  #columns(from: number, count: number): Tensor {
    const { inner, outer } = this
    if (inner === undefined || outer === undefined) return this.embedding.narrow(1, from, count).contiguous()
    const made = inner.forward(this.embedding).tanh()
    return linear(made, outer.weight.narrow(0, from, count), outer.bias?.narrow(0, from, count) ?? null)
  }

  override setToSum(parts: readonly { adapter: LayerAdapter; weight: number }[]): void {
    if (this.inner !== undefined)
      throw new ConfigError(
        '`average` needs prefixes without `projection`, since networks do not add up: train them without it.',
      )
    super.setToSum(parts)
  }
}

type AttentionWay = Attention['forward']

/** On the attention of one layer; without parameters of its own. */
class PrefixLayer extends LayerAdapter<Attention, AttentionWay> {
  readonly #bank: PrefixBank
  readonly #index: number

  constructor(bank: PrefixBank, index: number) {
    super()
    this.#bank = bank
    this.#index = index
  }

  wrap(_: Attention, next: AttentionWay): AttentionWay {
    return (input, context = {}, options = {}) => {
      if (options.cache?.prepend !== undefined) {
        options.cache.prepend(() => this.#bank.ofLayer(this.#index))
        return next(input, context, options)
      }
      const own = this.#bank.ofLayer(this.#index)
      const documents = this.#bank.documentsOf(context)
      if (documents === undefined) return next(input, context, { ...options, cache: prefixed(own, options.cache) })
      const wide = { ...context, keyStarts: documents.starts }
      return next(input, wide, { ...options, cache: prefixedPacked(own, documents) })
    }
  }

  /** Sets the prefix of this layer to the keys and values of tokens. */
  setFrom({ key, value }: KeysAndValues): void {
    this.#bank.setLayer(this.#index, key, value)
  }

  override setToSum(): void {}
}

/**
 * The self-attention of each layer, in order.
 * @throws ConfigError for a decoder with another number of layers than the encoder
 */
const rowAttentions = (model: Model, encoderDecoder: boolean) => {
  const attentions = [...model.body.modules('body')].flatMap(([path, host]) =>
    host instanceof Attention && (!encoderDecoder || /^body\.decoder\..*\.attention$/.test(path))
      ? [{ path, host }]
      : [],
  )
  if (attentions.length !== model.facts.numLayers)
    throw new ConfigError(
      `\`prefix-tuning\` needs a decoder with as many layers as the encoder, got ${attentions.length} of ${model.facts.numLayers}. Choose another method, such as lora.`,
    )
  return attentions
}

/** Puts a prefix on a model. @throws ConfigError for a model that does not support one */
export const attachPrefix = (
  model: Model,
  { virtualTokens, projection }: Pick<PrefixShape, 'virtualTokens' | 'projection'>,
  generator: Generator,
): Attachment => {
  if (model.facts.takesPrefixes === false)
    throw new ConfigError(
      `\`prefix-tuning\` needs layers that do not share weights, with attention that does not go by distance, which ${model.definition.type} does not have. Choose another method, such as prompt-tuning.`,
    )
  const encoderDecoder = hasEncoder(model, 'prefix-tuning')
  checkCount(virtualTokens, model)
  const attentions = rowAttentions(model, encoderDecoder)
  const { numLayers, maxPositions } = model.facts
  const shape = { virtualTokens, projection, numLayers, width: attentions[0].host.kProj.shape[0], encoderDecoder }
  const bank = new PrefixBank(shape, model.body.embedTokens, maxPositions, generator)
  // PEFT repeats the prefix of an encoder-decoder twice and uses every second layer of it; the same order here keeps
  // files compatible.
  const index = (i: number) => (encoderDecoder ? (2 * i) % numLayers : i)
  return {
    trained: [],
    virtualTokens,
    placements: [
      { path: 'body', host: model.body, adapter: bank },
      ...attentions.map(({ path, host }, i) => ({ path, host, adapter: new PrefixLayer(bank, index(i)) })),
    ],
  }
}

/**
 * Initialises the prefix with the base's own keys and values of these tokens. Random values are unlike anything the
 * base was trained on, and a short training does not make up for it.
 * @source arXiv:2101.00190, section 7.4
 * @param ids int64 [P]
 */
export const initializeFromTokens = (model: Model, { placements }: Attachment, ids: Tensor): void => {
  const layers = placements.flatMap(({ host, adapter }) =>
    host instanceof Attention && adapter instanceof PrefixLayer ? [{ host, adapter }] : [],
  )
  // Where two layers share a row, as PEFT has it in decoders beside an encoder, the last one's stays.
  const hosts = layers.map(({ host }) => host)
  captureKeysAndValues(model, hosts, ids, (layer, pair) => layers[layer].adapter.setFrom(pair))
}
