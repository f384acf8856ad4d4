// Trained vectors in the place of token embeddings, in front of every row; of an encoder-decoder, in front of the encoder's.
import { ConfigError } from '../../core/index.ts'
import {
  type Body,
  type BodyInputs,
  type BodyOutputs,
  firstTokensOf,
  type Head,
  type HeadType,
  type Model,
} from '../../models/index.ts'
import type { Embedding, LayerCache } from '../../nn/index.ts'
import { arange, cat, keep, type Tensor } from '../../tensor/index.ts'
import type { Attachment } from '../adapter.ts'
import { LayerAdapter } from '../layer-adapter.ts'
import { type PackedDocuments, packedDocuments } from './packed-documents.ts'
import {
  checkCount,
  checkRoom,
  hasEncoder,
  type KeysAndValues,
  prefixed,
  splitting,
  widenIds,
  widenMask,
  widenTypes,
} from './positions.ts'

type BodyWay = (inputs: BodyInputs) => BodyOutputs

/** A batch with the virtual tokens in it. */
interface Widened {
  /** Where rows are packed. */
  documents?: PackedDocuments
}

/** Hidden states with those of the virtual tokens. */
interface Whole {
  hidden: Tensor
  /** Where rows are packed. */
  starts?: Tensor
}

/** On the body: holds the vectors, and hides their positions from whoever asked for the text's. */
export class PromptBank extends LayerAdapter<Body, BodyWay> {
  /** [P, width of the embeddings] */
  embedding: Tensor
  readonly #maxPositions: number | undefined
  readonly #fill: number
  readonly #beside: boolean
  readonly #pooled: boolean
  /** Of caches that hold the text alone. */
  readonly #apart = new WeakMap<LayerCache, KeysAndValues>()
  readonly #whole = new WeakMap<Tensor, Whole>()
  #waiting: Widened | undefined

  /**
   * @param how.fill an id that is not padding, for the places of the vectors
   * @param how.beside the rows are those of an encoder beside a decoder
   * @param how.pooled the head sees the virtual tokens: the first token of a row is one of them
   */
  constructor(
    embedding: Tensor,
    maxPositions: number | undefined,
    how: { fill: number; beside: boolean; pooled: boolean },
  ) {
    super()
    this.embedding = embedding
    this.#maxPositions = maxPositions
    this.#fill = how.fill
    this.#beside = how.beside
    this.#pooled = how.pooled
  }

  get virtualTokens(): number {
    return this.embedding.shape[0]
  }

  override get positionsInFront(): number {
    return this.virtualTokens
  }

  /** The widened batch that the next embedding is of; undefined for the decoder's, which comes after the encoder's. */
  takeNext(): Widened | undefined {
    const taken = this.#waiting
    if (this.#beside) this.#waiting = undefined
    return taken
  }

  /** Of hidden states without those of the virtual tokens. */
  wholeOf(hidden: Tensor): Whole | undefined {
    return this.#whole.get(hidden)
  }

  wrap(_: Body, next: BodyWay): BodyWay {
    return (inputs) => {
      const { cache, pastLength = 0, inputIds, positionIds } = inputs
      const virtual = this.virtualTokens
      const [batch, length] = inputIds.shape
      if (this.#beside) return this.#aroundEncoder(inputs, next)
      const documents = packedDocuments(inputs, virtual)
      checkRoom(pastLength + (documents?.longest ?? length), virtual, this.#maxPositions)
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
      const widePositions = positionIds && cat([places, positionIds.add(virtual).expand([batch, length])], 1)
      const spread = (ids: Tensor | undefined) => ids && (documents?.repeatIds(ids) ?? ids)
      this.#waiting = { documents }
      try {
        const outputs = next({
          ...inputs,
          attentionMask,
          inputIds: spread(widenIds(inputIds, virtual, this.#fill)) as Tensor,
          typeIds: spread(widenTypes(inputs.typeIds, virtual)),
          positionIds: spread(widePositions),
          starts: documents?.starts,
          cache: cache?.map((layer) => splitting(virtual, layer, (pair) => this.#apart.set(layer, pair))),
          // A head that sees the virtual tokens reads the first of them; others want tokens of the text, which the layer cannot pick here.
          read: this.#pooled && inputs.read && documents ? firstTokensOf(documents.starts) : undefined,
        })
        if (outputs.onlyRead) return outputs
        const text = (hidden: Tensor) => documents?.textOf(hidden) ?? hidden.narrow(1, virtual, length)
        const hidden = text(outputs.hidden)
        this.#whole.set(hidden, { hidden: outputs.hidden, starts: documents?.starts })
        return { ...outputs, hidden, ...(outputs.allHidden && { allHidden: outputs.allHidden.map(text) }) }
      } finally {
        this.#waiting = undefined
      }
    }
  }

  /** What the encoder gives has the virtual tokens in it; the decoder sees them like others. */
  #aroundEncoder(inputs: BodyInputs, next: BodyWay): BodyOutputs {
    const virtual = this.virtualTokens
    const attentionMask = widenMask(inputs.attentionMask, virtual)
    if (inputs.encoderHidden !== undefined) return next({ ...inputs, attentionMask })
    this.#waiting = {}
    try {
      return next({ ...inputs, attentionMask, inputIds: widenIds(inputs.inputIds, virtual, this.#fill) })
    } finally {
      this.#waiting = undefined
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

  wrap(_: Embedding, next: Embedding['forward']): Embedding['forward'] {
    return (ids) => {
      const bank = this.#bank
      const widened = bank.takeNext()
      if (widened === undefined) return next(ids)
      const { documents } = widened
      const [batch, length] = ids.shape
      const virtual = bank.virtualTokens
      const own = next(documents?.textIdsOf(ids) ?? ids.narrow(1, virtual, length - virtual))
      const rows = cat([bank.embedding.unsqueeze(0).expand([batch, -1, -1]), own], 1)
      return documents?.repeat(rows) ?? rows
    }
  }

  override setToSum(): void {}
}

type HeadWay = Head['forward']

/** On a head that makes one vector of a row: it sees the virtual tokens, as in PEFT. */
class PromptHead extends LayerAdapter<Head, HeadWay> {
  readonly #bank: PromptBank

  constructor(bank: PromptBank) {
    super()
    this.#bank = bank
  }

  wrap(_: Head, next: HeadWay): HeadWay {
    return (outputs, inputs) => {
      const { hidden, starts } = this.#bank.wholeOf(outputs.hidden) ?? { hidden: outputs.hidden, starts: inputs.starts }
      const attentionMask = widenMask(inputs.attentionMask, this.#bank.virtualTokens)
      return next({ ...outputs, hidden }, { ...inputs, attentionMask, starts })
    }
  }

  override setToSum(): void {}
}

const ofRows: ReadonlySet<HeadType> = new Set(['sequence-classification', 'reward'])

/** @param first the tokens whose vectors it begins as, int64 [P] @throws ConfigError where the model cannot take a prompt */
export const attachPrompt = (model: Model, first: Tensor): Attachment => {
  const [virtualTokens] = first.shape
  const { maxPositions } = model.facts
  const beside = hasEncoder(model, 'prompt-tuning')
  checkCount(virtualTokens, model)
  const { embedTokens } = model.body
  const { weight, dtype } = embedTokens
  const embedding = keep(weight.detach().indexSelect(0, first).to(dtype))
  const { padTokenId } = model.config as { padTokenId?: number }
  const pooled = ofRows.has(model.headType) && !beside
  const bank = new PromptBank(embedding, maxPositions, { fill: padTokenId === 0 ? 1 : 0, beside, pooled })
  return {
    trained: [],
    virtualTokens,
    placements: [
      { path: 'body', host: model.body, adapter: bank },
      { path: 'body.embedTokens', host: embedTokens, adapter: new PromptEmbedding(bank) },
      ...(pooled ? [{ path: 'head', host: model.head, adapter: new PromptHead(bank) }] : []),
    ],
  }
}
