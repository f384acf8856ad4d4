// Prompt tuning: trained vectors in place of token embeddings in front of every row; in an encoder-decoder, of the
// encoder's rows.
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
import { arange, cat, freeTensors, keep, type Tensor } from '../../tensor/index.ts'
import type { Attachment } from '../adapter.ts'
import { LayerAdapter } from '../layer-adapter.ts'
import {
  cacheTextOnly,
  checkCount,
  checkLength,
  hasEncoder,
  type KeysAndValues,
  type PackedDocuments,
  packedDocuments,
  prefixed,
  shiftPositions,
  widenIds,
  widenMask,
  widenTypes,
} from './positions.ts'

type BodyWay = (inputs: BodyInputs) => BodyOutputs

/** A batch whose embeddings are about to be computed, with virtual tokens. */
interface PendingBatch {
  /** For packed rows. */
  documents?: PackedDocuments
}

/** Hidden states including those of the virtual tokens. */
interface AllPositions {
  hidden: Tensor
  /** For packed rows. */
  starts?: Tensor
}

/** On the body: has the vectors, widens the batch by their positions, and removes them from the output. */
export class PromptBank extends LayerAdapter<Body, BodyWay> {
  /** [P, width of the embeddings] */
  embedding: Tensor
  readonly #maxPositions: number | undefined
  readonly #fill: number
  readonly #encoderDecoder: boolean
  readonly #pooled: boolean
  /** Keys and values of the virtual tokens, by the cache of a layer, which has the text alone. */
  readonly #virtualPairs = new WeakMap<LayerCache, KeysAndValues>()
  readonly #allPositions = new WeakMap<Tensor, AllPositions>()
  #pending: PendingBatch | undefined

  /**
   * @param how.fill an id that is not padding, for the virtual positions
   * @param how.encoderDecoder the rows are those of the encoder of an encoder-decoder
   * @param how.pooled the head reads the virtual tokens too: the first token of a row is one of them
   */
  constructor(
    embedding: Tensor,
    maxPositions: number | undefined,
    how: { fill: number; encoderDecoder: boolean; pooled: boolean },
  ) {
    super()
    this.embedding = embedding
    this.#maxPositions = maxPositions
    this.#fill = how.fill
    this.#encoderDecoder = how.encoderDecoder
    this.#pooled = how.pooled
  }

  /** Number of virtual tokens. */
  get virtualTokens(): number {
    return this.embedding.shape[0]
  }

  override get prependedPositions(): number {
    return this.virtualTokens
  }

  override get sharesKeys(): boolean {
    return false
  }

  /**
   * The batch that the next call of the embedding belongs to; undefined for the decoder's call, which comes after the
   * encoder's.
   */
  takePending(): PendingBatch | undefined {
    const taken = this.#pending
    if (this.#encoderDecoder) this.#pending = undefined
    return taken
  }

  /** Hidden states including the virtual tokens, for those without them. */
  withVirtualTokens(hidden: Tensor): AllPositions | undefined {
    return this.#allPositions.get(hidden)
  }

  wrap(_: Body, next: BodyWay): BodyWay {
    return (inputs) => {
      const { cache, pastLength = 0, inputIds, positionIds } = inputs
      const virtual = this.virtualTokens
      const [batch, length] = inputIds.shape
      if (this.#encoderDecoder) return this.#aroundEncoder(inputs, next)
      if (cache?.[0]?.prepend !== undefined) return this.#beforeRows(inputs, cache, next)
      const documents = packedDocuments(inputs, virtual)
      checkLength(pastLength + (documents?.longest ?? length), virtual, this.#maxPositions)
      const attentionMask = widenMask(inputs.attentionMask, virtual)
      if (cache !== undefined && pastLength > 0)
        return next({
          ...inputs,
          attentionMask,
          positionIds: positionIds?.add(virtual),
          pastLength: pastLength + virtual,
          cache: cache.map((layer) => prefixed(this.#pairOf(layer), layer)),
        })
      const places = arange(virtual, { device: inputIds.device }).to('int64').unsqueeze(0).expand([batch, virtual])
      const widePositions = positionIds && cat([places, positionIds.add(virtual).expand([batch, length])], 1)
      const spread = (ids: Tensor | undefined) => ids && (documents?.repeatIds(ids) ?? ids)
      this.#pending = { documents }
      try {
        const outputs = next({
          ...inputs,
          attentionMask,
          inputIds: spread(widenIds(inputIds, virtual, this.#fill)) as Tensor,
          typeIds: spread(widenTypes(inputs.typeIds, virtual)),
          positionIds: spread(widePositions),
          starts: documents?.starts,
          cache: cache?.map((layer) => cacheTextOnly(virtual, layer, (pair) => this.#virtualPairs.set(layer, pair))),
          // A head that reads virtual tokens reads the first of them; other heads read tokens of the text, which the
          // layer cannot select here.
          read: this.#pooled && inputs.read && documents ? firstTokensOf(documents.starts, inputIds.device) : undefined,
        })
        if (outputs.onlyRead) return outputs
        const text = (hidden: Tensor) => documents?.textOf(hidden) ?? hidden.narrow(1, virtual, length)
        const hidden = text(outputs.hidden)
        this.#allPositions.set(hidden, { hidden: outputs.hidden, starts: documents?.starts })
        return { ...outputs, hidden, ...(outputs.allHidden && { allHidden: outputs.allHidden.map(text) }) }
      } finally {
        this.#pending = undefined
      }
    }
  }

  /** Rows of different lengths: each has the keys and values of the virtual tokens in its own cache. */
  #beforeRows(inputs: BodyInputs, cache: readonly LayerCache[], next: BodyWay): BodyOutputs {
    const virtual = this.virtualTokens
    const positionIds = shiftPositions(inputs.positionIds, virtual, this.#maxPositions)
    let pairs: KeysAndValues[] | undefined
    try {
      for (const [i, layer] of cache.entries())
        layer.prepend?.(() => {
          pairs ??= this.#computePairs(inputs, cache.length, next)
          return pairs[i]
        })
      return next({ ...inputs, positionIds })
    } finally {
      for (const { key, value } of pairs ?? []) freeTensors([key, value])
    }
  }

  /** Keys and values of the virtual tokens in each layer; they do not depend on a text. */
  #computePairs({ inputIds }: BodyInputs, numLayers: number, next: BodyWay): KeysAndValues[] {
    const pairs: KeysAndValues[] = []
    const capture = (): LayerCache => ({
      append: (key, value) => {
        pairs.push({ key: keep(key.clone()), value: keep(value.clone()) })
        return { key, value }
      },
      source: (make) => make(),
    })
    this.#pending = {}
    try {
      const ids = widenIds(inputIds.narrow(0, 0, 1).narrow(1, 0, 0), this.virtualTokens, this.#fill)
      next({ inputIds: ids, cache: Array.from({ length: numLayers }, capture) })
    } finally {
      this.#pending = undefined
    }
    return pairs
  }

  /** The output of the encoder contains the virtual tokens, and the decoder attends to them. */
  #aroundEncoder(inputs: BodyInputs, next: BodyWay): BodyOutputs {
    const virtual = this.virtualTokens
    const attentionMask = widenMask(inputs.attentionMask, virtual)
    if (inputs.encoderHidden !== undefined) return next({ ...inputs, attentionMask })
    this.#pending = {}
    try {
      return next({ ...inputs, attentionMask, inputIds: widenIds(inputs.inputIds, virtual, this.#fill) })
    } finally {
      this.#pending = undefined
    }
  }

  #pairOf(layer: LayerCache): KeysAndValues {
    const pair = this.#virtualPairs.get(layer)
    if (pair !== undefined) return pair
    throw new ConfigError(
      'Expected a cache that was filled with this prompt, got another one. Start a new text after switching adapters.',
    )
  }
}

/** On the token embeddings; without parameters of its own. */
class PromptEmbedding extends LayerAdapter<Embedding, Embedding['forward']> {
  readonly #bank: PromptBank

  constructor(bank: PromptBank) {
    super()
    this.#bank = bank
  }

  wrap(_: Embedding, next: Embedding['forward']): Embedding['forward'] {
    return (ids) => {
      const bank = this.#bank
      const widened = bank.takePending()
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

/** On a head that pools a row to one vector: it reads the virtual tokens too, as in PEFT. */
class PromptHead extends LayerAdapter<Head, HeadWay> {
  readonly #bank: PromptBank

  constructor(bank: PromptBank) {
    super()
    this.#bank = bank
  }

  wrap(_: Head, next: HeadWay): HeadWay {
    return (outputs, inputs) => {
      const { hidden, starts } = this.#bank.withVirtualTokens(outputs.hidden) ?? {
        hidden: outputs.hidden,
        starts: inputs.starts,
      }
      const attentionMask = widenMask(inputs.attentionMask, this.#bank.virtualTokens)
      return next({ ...outputs, hidden }, { ...inputs, attentionMask, starts })
    }
  }

  override setToSum(): void {}
}

const pooledHeads: ReadonlySet<HeadType> = new Set(['sequence-classification', 'reward'])

/**
 * Puts a prompt on a model.
 * @param first tokens whose embeddings it is initialised with, int64 [P]
 * @throws ConfigError for a model that does not support one
 */
export const attachPrompt = (model: Model, first: Tensor): Attachment => {
  const [virtualTokens] = first.shape
  const { maxPositions } = model.facts
  const encoderDecoder = hasEncoder(model, 'prompt-tuning')
  checkCount(virtualTokens, model)
  const { embedTokens } = model.body
  const { weight, dtype } = embedTokens
  const embedding = keep(weight.detach().indexSelect(0, first).to(dtype))
  const { padTokenId } = model.config as { padTokenId?: number }
  const pooled = pooledHeads.has(model.headType) && !encoderDecoder
  const bank = new PromptBank(embedding, maxPositions, { fill: padTokenId === 0 ? 1 : 0, encoderDecoder, pooled })
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
