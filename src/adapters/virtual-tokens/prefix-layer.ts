// Trained keys and values in front of those of every row, in every layer; of an encoder-decoder, in every layer of the decoder.
import { ConfigError } from '../../core/index.ts'
import type { Body, BodyInputs, BodyOutputs, Model } from '../../models/index.ts'
import { Attention, type AttentionContext, Linear } from '../../nn/index.ts'
import { cat, type Dtype, empty, type Generator, keep, linear, type Tensor } from '../../tensor/index.ts'
import type { Attachment } from '../adapter.ts'
import { LayerAdapter } from '../layer-adapter.ts'
import { hearKeysAndValues } from './initial-tokens.ts'
import { type PackedDocuments, packedDocuments } from './packed-documents.ts'
import {
  checkCount,
  checkRoom,
  hasEncoder,
  type KeysAndValues,
  prefixed,
  prefixedApart,
  widenMask,
} from './positions.ts'

export interface PrefixShape {
  virtualTokens: number
  numLayers: number
  /** Of the keys of one layer. */
  width: number
  /** Units of the network that makes the prefix from smaller vectors; none where it is trained itself. */
  projection?: number
  /** Rows are those of a decoder beside an encoder. */
  beside: boolean
}

type BodyWay = (inputs: BodyInputs) => BodyOutputs

/** On the body: holds the prefix of all layers, and tells the batch of it. */
export class PrefixBank extends LayerAdapter<Body, BodyWay> {
  /** [P, 2·layers·K·D]; with a projection [P, K·D] */
  embedding: Tensor
  inner?: Linear
  outer?: Linear
  readonly #shape: Readonly<PrefixShape>
  readonly #maxPositions: number | undefined
  /** By the `starts` of a batch, as its layers get them; they may be computed again when the body is done. */
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
    // As PyTorch draws the rows of a table.
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

  get shape(): Readonly<PrefixShape> {
    return this.#shape
  }

  wrap(_: Body, next: BodyWay): BodyWay {
    const { virtualTokens, beside } = this.#shape
    return (inputs) => {
      const { pastLength = 0, positionIds } = inputs
      if (beside)
        return next({
          ...inputs,
          decoderAttentionMask: widenMask(inputs.decoderAttentionMask, virtualTokens),
          pastLength: pastLength + virtualTokens,
        })
      const documents = packedDocuments(inputs, virtualTokens)
      if (documents !== undefined && inputs.starts !== undefined) this.#documents.set(inputs.starts, documents)
      checkRoom(pastLength + (documents?.longest ?? inputs.inputIds.shape[1]), virtualTokens, this.#maxPositions)
      return next({
        ...inputs,
        attentionMask: widenMask(inputs.attentionMask, virtualTokens),
        positionIds: positionIds?.add(virtualTokens),
        pastLength: pastLength + virtualTokens,
      })
    }
  }

  /** Of the packed rows that a layer is at; undefined where they are padded. */
  documentsOf({ starts, keyStarts = starts }: AttentionContext): PackedDocuments | undefined {
    return keyStarts && this.#documents.get(keyStarts)
  }

  /** Of one layer; made where it is used, so that a layer that is computed again makes it again. */
  ofLayer(index: number): KeysAndValues {
    const { width } = this.#shape
    const columns = this.#columns(2 * index * width, 2 * width) // [P,2·K·D]
    return { key: columns.narrow(1, 0, width), value: columns.narrow(1, width, width) }
  }

  /** Everything: what files hold. */
  whole(): Tensor {
    return this.#columns(0, 2 * this.#shape.numLayers * this.#shape.width)
  }

  /** @param key of one layer, [P,K·D], as `value` */
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
      throw new ConfigError('Expected prefixes without `projection` for `average`: networks do not add up.')
    super.setToSum(parts)
  }
}

type AttentionWay = Attention['forward']

/** On the attention of one layer: has no parameters of its own. */
export class PrefixLayer extends LayerAdapter<Attention, AttentionWay> {
  readonly #bank: PrefixBank
  readonly #index: number

  constructor(bank: PrefixBank, index: number) {
    super()
    this.#bank = bank
    this.#index = index
  }

  wrap(_: Attention, next: AttentionWay): AttentionWay {
    return (input, context = {}, options = {}) => {
      const own = this.#bank.ofLayer(this.#index)
      const documents = this.#bank.documentsOf(context)
      if (documents === undefined) return next(input, context, { ...options, cache: prefixed(own, options.cache) })
      const wide = { ...context, keyStarts: documents.starts }
      return next(input, wide, { ...options, cache: prefixedApart(own, documents) })
    }
  }

  /** In front of a text, a decoder then sees the prefix as it sees the tokens. */
  begin({ key, value }: KeysAndValues): void {
    this.#bank.setLayer(this.#index, key, value)
  }

  override setToSum(): void {}
}

/** The attention of each layer to its own row, in order. @throws ConfigError where a body has no such layers */
const rowAttentions = (model: Model, beside: boolean) => {
  const attentions = [...model.body.modules('body')].flatMap(([path, host]) =>
    host instanceof Attention && (!beside || /^body\.decoder\..*\.attention$/.test(path)) ? [{ path, host }] : [],
  )
  if (attentions.length !== model.facts.numLayers)
    throw new ConfigError(
      `Expected a decoder with as many layers as the encoder for \`prefix-tuning\`, got ${attentions.length} of ${model.facts.numLayers}. Choose another variant, such as lora.`,
    )
  return attentions
}

/** @throws ConfigError where the model cannot take a prefix */
export const attachPrefix = (
  model: Model,
  { virtualTokens, projection }: Pick<PrefixShape, 'virtualTokens' | 'projection'>,
  generator: Generator,
): Attachment => {
  const beside = hasEncoder(model, 'prefix-tuning')
  checkCount(virtualTokens, model)
  const attentions = rowAttentions(model, beside)
  const { numLayers, maxPositions } = model.facts
  const shape = { virtualTokens, projection, numLayers, width: attentions[0].host.kProj.shape[0], beside }
  const bank = new PrefixBank(shape, model.body.embedTokens, maxPositions, generator)
  // PEFT lays the prefix of an encoder-decoder twice end to end and takes every second layer of it, so that it means the same there.
  const index = (i: number) => (beside ? (2 * i) % numLayers : i)
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
 * Sets the prefix to the keys and values that the base makes of these tokens. Drawn values are unlike anything the base has seen, and a short training
 * does not undo the harm. @source arXiv:2101.00190, section 7.4
 * @param ids int64 [P]
 */
export const beginAtTokens = (model: Model, { placements }: Attachment, ids: Tensor): void => {
  const layers = placements.flatMap(({ host, adapter }) =>
    host instanceof Attention && adapter instanceof PrefixLayer ? [{ host, adapter }] : [],
  )
  // Where two layers share a row, as PEFT has it in decoders beside an encoder, the last one's stays.
  const hosts = layers.map(({ host }) => host)
  hearKeysAndValues(model, hosts, ids, (layer, heard) => layers[layer].adapter.begin(heard))
}
