// Trained vectors in the place of token embeddings, in front of every row; of an encoder-decoder, in front of the encoder's.
import { ConfigError } from '../core/index.ts'
import type { Body, BodyInputs, BodyOutputs, Head, HeadType, Model } from '../models/index.ts'
import type { Embedding, LayerCache } from '../nn/index.ts'
import { arange, cat, type Generator, keep, randint, type Tensor } from '../tensor/index.ts'
import type { Attachment } from './adapter.ts'
import { LayerAdapter } from './layer-adapter.ts'
import {
  checkRoom,
  hasEncoder,
  type KeysAndValues,
  prefixed,
  refusePacked,
  splitting,
  widenIds,
  widenMask,
  widenTypes,
} from './virtual-tokens.ts'

type BodyWay = (inputs: BodyInputs) => BodyOutputs

/** On the body: holds the vectors, and hides their positions from whoever asked for the text's. */
export class PromptBank extends LayerAdapter<Body, BodyWay> {
  /** [P, width of the embeddings] */
  embedding: Tensor
  readonly #maxPositions: number | undefined
  readonly #fill: number
  readonly #beside: boolean
  /** Of caches that hold the text alone. */
  readonly #apart = new WeakMap<LayerCache, KeysAndValues>()
  readonly #whole = new WeakMap<Tensor, Tensor>()
  #waiting = false

  /**
   * @param fill an id that is not padding, for the places of the vectors
   * @param beside the rows are those of an encoder beside a decoder
   */
  constructor(embedding: Tensor, maxPositions: number | undefined, fill: number, beside: boolean) {
    super()
    this.embedding = embedding
    this.#maxPositions = maxPositions
    this.#fill = fill
    this.#beside = beside
  }

  override get packs(): boolean {
    return false
  }

  get virtualTokens(): number {
    return this.embedding.shape[0]
  }

  /** Whether the next embedding is that of a widened batch; the decoder's, which comes after the encoder's, is not. */
  takesNext(): boolean {
    const takes = this.#waiting
    if (this.#beside) this.#waiting = false
    return takes
  }

  /** Hidden states with those of the virtual tokens, of hidden states without. */
  wholeOf(hidden: Tensor): Tensor {
    return this.#whole.get(hidden) ?? hidden
  }

  around(_: Body, next: BodyWay): BodyWay {
    return (inputs) => {
      refusePacked(inputs, 'prompt-tuning')
      const { cache, pastLength = 0, inputIds, positionIds } = inputs
      const virtual = this.virtualTokens
      const [batch, length] = inputIds.shape
      if (this.#beside) return this.#aroundEncoder(inputs, next)
      checkRoom(pastLength + length, virtual, this.#maxPositions)
      const attentionMask = widenMask(inputs.attentionMask, virtual)
      if (cache !== undefined && pastLength > 0)
        return next({
          ...inputs,
          attentionMask,
          positionIds: positionIds?.add(virtual),
          pastLength: pastLength + virtual,
          cache: cache.map((layer) => prefixed(this.#known(layer), layer)),
        })
      const places = arange(virtual, { device: inputIds.device }).to('int64').unsqueeze(0).expand([batch, virtual])
      this.#waiting = true
      try {
        const outputs = next({
          ...inputs,
          attentionMask,
          inputIds: widenIds(inputIds, virtual, this.#fill),
          typeIds: widenTypes(inputs.typeIds, virtual),
          positionIds:
            positionIds === undefined ? undefined : cat([places, positionIds.add(virtual).expand([batch, length])], 1),
          cache: cache?.map((layer) => splitting(virtual, layer, (pair) => this.#apart.set(layer, pair))),
        })
        const text = (hidden: Tensor) => hidden.narrow(1, virtual, length)
        const hidden = text(outputs.hidden)
        this.#whole.set(hidden, outputs.hidden)
        return { ...outputs, hidden, ...(outputs.allHidden && { allHidden: outputs.allHidden.map(text) }) }
      } finally {
        this.#waiting = false
      }
    }
  }

  /** What the encoder gives has the virtual tokens in it; the decoder sees them like others. */
  #aroundEncoder(inputs: BodyInputs, next: BodyWay): BodyOutputs {
    const virtual = this.virtualTokens
    const attentionMask = widenMask(inputs.attentionMask, virtual)
    if (inputs.encoderHidden !== undefined) return next({ ...inputs, attentionMask })
    this.#waiting = true
    try {
      return next({ ...inputs, attentionMask, inputIds: widenIds(inputs.inputIds, virtual, this.#fill) })
    } finally {
      this.#waiting = false
    }
  }

  #known(layer: LayerCache): KeysAndValues {
    const pair = this.#apart.get(layer)
    if (pair !== undefined) return pair
    throw new ConfigError(
      'Expected a cache that was begun with this prompt, got another one. Do not switch adapters within a text.',
    )
  }
}

/** On the token embeddings: has no parameters of its own. */
class PromptEmbedding extends LayerAdapter<Embedding, Embedding['forward']> {
  readonly #bank: PromptBank

  constructor(bank: PromptBank) {
    super()
    this.#bank = bank
  }

  around(_: Embedding, next: Embedding['forward']): Embedding['forward'] {
    return (ids) => {
      const bank = this.#bank
      if (!bank.takesNext()) return next(ids)
      const [batch, length] = ids.shape
      const virtual = bank.virtualTokens
      const own = next(ids.narrow(1, virtual, length - virtual))
      return cat([bank.embedding.unsqueeze(0).expand([batch, -1, -1]), own], 1)
    }
  }

  override takeSum(): void {}
}

type HeadWay = Head['forward']

/** On a head that makes one vector of a row: it sees the virtual tokens, as in PEFT. */
class PromptHead extends LayerAdapter<Head, HeadWay> {
  readonly #bank: PromptBank

  constructor(bank: PromptBank) {
    super()
    this.#bank = bank
  }

  around(_: Head, next: HeadWay): HeadWay {
    return (outputs, inputs) =>
      next(
        { ...outputs, hidden: this.#bank.wholeOf(outputs.hidden) },
        { ...inputs, attentionMask: widenMask(inputs.attentionMask, this.#bank.virtualTokens) },
      )
  }

  override takeSum(): void {}
}

const ofRows: ReadonlySet<HeadType> = new Set(['sequence-classification', 'reward'])

/** Starts from vectors of the vocabulary. @throws ConfigError where the model cannot take a prompt */
export const attachPrompt = (model: Model, virtualTokens: number, generator: Generator): Attachment => {
  const { maxPositions } = model.facts
  const beside = hasEncoder(model, 'prompt-tuning')
  const { embedTokens } = model.body
  const { weight, dtype } = embedTokens
  const ids = randint(0, weight.shape[0], [virtualTokens], { generator, dtype: 'int64' })
  const embedding = keep(weight.detach().indexSelect(0, ids).to(dtype))
  const { padTokenId } = model.config as { padTokenId?: number }
  const bank = new PromptBank(embedding, maxPositions, padTokenId === 0 ? 1 : 0, beside)
  return {
    trained: [],
    packs: false,
    virtualTokens,
    placements: [
      { path: 'body', host: model.body, adapter: bank },
      { path: 'body.embedTokens', host: embedTokens, adapter: new PromptEmbedding(bank) },
      ...(ofRows.has(model.headType) && !beside
        ? [{ path: 'head', host: model.head, adapter: new PromptHead(bank) }]
        : []),
    ],
  }
}
