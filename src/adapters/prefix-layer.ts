// Trained keys and values in front of those of every row, in every layer.
import { ConfigError } from '../core/index.ts'
import type { Body, BodyInputs, BodyOutputs, Model } from '../models/index.ts'
import { Attention, Linear } from '../nn/index.ts'
import { type Dtype, empty, type Generator, keep, linear, type Tensor } from '../tensor/index.ts'
import type { Attachment } from './adapter.ts'
import { LayerAdapter } from './layer-adapter.ts'
import { checkRoom, type KeysAndValues, prefixed, refusePacked, widenMask } from './virtual-tokens.ts'

export interface PrefixShape {
  virtualTokens: number
  numLayers: number
  /** Of the keys of one layer. */
  width: number
  /** Units of the network that makes the prefix from smaller vectors; none where it is trained itself. */
  projection?: number
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

  override get packs(): boolean {
    return false
  }

  get shape(): Readonly<PrefixShape> {
    return this.#shape
  }

  around(_: Body, next: BodyWay): BodyWay {
    const { virtualTokens } = this.#shape
    return (inputs) => {
      refusePacked(inputs, 'prefix-tuning')
      const { pastLength = 0, positionIds } = inputs
      checkRoom(pastLength + inputs.inputIds.shape[1], virtualTokens, this.#maxPositions)
      return next({
        ...inputs,
        attentionMask: widenMask(inputs.attentionMask, virtualTokens),
        positionIds: positionIds?.add(virtualTokens),
        pastLength: pastLength + virtualTokens,
      })
    }
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

  #columns(from: number, count: number): Tensor {
    const { inner, outer } = this
    if (inner === undefined || outer === undefined) return this.embedding.narrow(1, from, count).contiguous()
    const made = inner.forward(this.embedding).tanh()
    return linear(made, outer.weight.narrow(0, from, count), outer.bias?.narrow(0, from, count) ?? null)
  }

  override takeSum(parts: readonly { adapter: LayerAdapter; weight: number }[]): void {
    if (this.inner !== undefined)
      throw new ConfigError('Expected prefixes without `projection` for `average`: networks do not add up.')
    super.takeSum(parts)
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

  around(_: Attention, next: AttentionWay): AttentionWay {
    return (input, context, options = {}) =>
      next(input, context, { ...options, cache: prefixed(this.#bank.ofLayer(this.#index), options.cache) })
  }

  override takeSum(): void {}
}

/** @throws ConfigError where the body is not one stack of layers with attention */
export const attachPrefix = (
  model: Model,
  { virtualTokens, projection }: Pick<PrefixShape, 'virtualTokens' | 'projection'>,
  generator: Generator,
): Attachment => {
  const attentions = [...model.body.modules('body')].flatMap(([path, host]) =>
    host instanceof Attention ? [{ path, host }] : [],
  )
  const { numLayers, maxPositions, packs } = model.facts
  if (attentions.length !== numLayers || packs === false)
    throw new ConfigError(
      `Expected one stack of layers without learned distances for \`prefix-tuning\`, got ${model.definition.type}. Choose another variant, such as lora.`,
    )
  const shape = { virtualTokens, projection, numLayers, width: attentions[0].host.kProj.shape[0] }
  const bank = new PrefixBank(shape, model.body.embedTokens, maxPositions, generator)
  return {
    trained: [],
    packs: false,
    virtualTokens,
    placements: [
      { path: 'body', host: model.body, adapter: bank },
      ...attentions.map(({ path, host }, i) => ({ path, host, adapter: new PrefixLayer(bank, i) })),
    ],
  }
}
