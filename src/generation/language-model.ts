// The model that generation needs, and a batch of sequences that grow by one token at a time: padding, positions, cache and
// encoder outputs. Independent of architectures and of how tokens are chosen.
import { ConfigError, invariant, ShapeError } from '../core/index.ts'
import { LanguageHead, type Model } from '../models/index.ts'
import { noGrad, scope, Tensor } from '../tensor/index.ts'
import { KvCache } from './kv-cache.ts'

/** A model whose head predicts the next token: a decoder, or an encoder with a decoder. */
export type LanguageModel = Model<LanguageHead>

/**
 * The model as one that writes text.
 * @param caller the public function that needs it, for the error
 * @throws ConfigError for another head, or for an encoder without a decoder
 */
export const asLanguageModel = (model: Model, caller: string): LanguageModel => {
  const { head, facts, headType, definition } = model
  const writes = head instanceof LanguageHead && (facts.causal || facts.decoderStartTokenId !== undefined)
  if (!writes)
    throw new ConfigError(
      `\`${caller}\` needs a model that writes text, with the head causal-lm or seq2seq-lm: this ${definition.type} has the head ${headType}. Load it with that head, or choose another model.`,
    )
  model.ready()
  return model as LanguageModel
}

export interface BatchOptions {
  /** Tokens that each text may get. */
  room: number
  useCache: boolean
  /** First id of every text, where an encoder reads the prompts. */
  decoderStartTokenId: number | undefined
  /** Fills short prompts; hidden from the model. */
  padTokenId: number
}

const tokensOf = (rows: readonly (readonly number[])[], length: number, fill: number, side: 'left' | 'right') => {
  const ids = new BigInt64Array(rows.length * length).fill(BigInt(fill))
  const seen = new Uint8Array(rows.length * length)
  rows.forEach((row, r) => {
    const start = r * length + (side === 'left' ? length - row.length : 0)
    row.forEach((id, i) => {
      ids[start + i] = BigInt(id)
      seen[start + i] = 1
    })
  })
  return { ids, seen }
}

/** Most tokens that a cache is made for before it must grow. */
const firstCapacity = 1024

/** Texts of a batch that are still growing. */
export class GrowingBatch {
  readonly #model: LanguageModel
  readonly #options: BatchOptions
  readonly #cache: KvCache | undefined
  readonly #hasEncoder: boolean
  /** Ids that the decoder has seen, without padding. */
  #rows: number[][]
  #encoderHidden: Tensor | undefined
  #encoderMask: Tensor | undefined
  /** Length of the longest prompt, and the padding before each row. */
  #pads: number[]

  constructor(model: LanguageModel, prompts: readonly (readonly number[])[], options: BatchOptions) {
    this.#model = model
    this.#options = options
    this.#hasEncoder = !model.facts.causal
    // A step reads every weight for a few rows: the kernel for that wants their inputs together.
    model.body.inRows()
    const longest = Math.max(...prompts.map((prompt) => prompt.length))
    if (this.#hasEncoder) {
      const start = options.decoderStartTokenId
      if (start === undefined)
        throw new ConfigError(
          'Expected a `decoderStartTokenId` for `generation` of a model with an encoder, got none. Take it from generation_config.json.',
        )
      this.#encode(prompts, longest)
      this.#rows = prompts.map(() => [start])
      this.#pads = prompts.map(() => 0)
    } else {
      this.#rows = prompts.map((prompt) => [...prompt])
      this.#pads = prompts.map((prompt) => longest - prompt.length)
    }
    const length = this.#hasEncoder ? 1 : longest
    if (options.useCache)
      this.#cache = new KvCache(model.facts.numLayers, Math.min(length + options.room, length + firstCapacity))
  }

  /** Number of texts. */
  get size(): number {
    return this.#rows.length
  }

  #encode(prompts: readonly (readonly number[])[], longest: number): void {
    const { ids, seen } = tokensOf(prompts, longest, this.#options.padTokenId, 'right')
    const shape = [prompts.length, longest]
    const padded = seen.includes(0)
    scope(() =>
      noGrad(() => {
        const inputIds = Tensor.from(ids, { shape })
        if (padded) this.#encoderMask = Tensor.from(seen, { shape, dtype: 'bool' }).keep()
        this.#encoderHidden = this.#model.body.forward({ inputIds, attentionMask: this.#encoderMask }).hidden.keep()
      }),
    )
  }

  /** Scores of the token after each text, float32 [B,V]. The first call reads the prompts, later ones what `extend` added. */
  scores(): Tensor {
    const known = this.#cache?.length ?? 0
    const total = this.#rows[0].length + this.#pads[0]
    const length = total - known
    if (length === 0) throw new ShapeError('Expected a new token in every row for `scores`, got none.')
    return scope(() =>
      noGrad(() => {
        const hidden = this.#hasEncoder ? this.#decode(known, length) : this.#continue(known, length)
        const last = length === 1 ? hidden : hidden.narrow(1, length - 1, 1)
        const { head } = this.#model
        // In fp32 whatever the weights' type: bf16 scores would tie.
        const prepared = head.prepare(last)
        const wide = prepared.dtype === 'bfloat16' ? prepared.to('float32') : prepared
        const logits = head.lmHead.forward(wide).squeeze(1)
        return logits.dtype === 'float32' ? logits : logits.to('float32')
      }),
    )
  }

  #newIds(known: number, length: number): Tensor {
    const rows = this.#rows.map((row, r) => row.slice(Math.max(0, known - this.#pads[r])))
    const { ids } = tokensOf(rows, length, this.#options.padTokenId, 'left')
    return Tensor.from(ids, { shape: [rows.length, length] })
  }

  #continue(known: number, length: number): Tensor {
    const inputIds = this.#newIds(known, length)
    const cache = this.#cache?.layers
    const pads = this.#pads
    if (pads.every((pad) => pad === 0)) return this.#model.body.forward({ inputIds, cache, pastLength: known }).hidden
    const batch = pads.length
    const total = known + length
    const seen = new Uint8Array(batch * total).fill(1)
    const positions = new BigInt64Array(batch * length)
    for (let r = 0; r < batch; r++) {
      seen.fill(0, r * total, r * total + pads[r])
      for (let t = 0; t < length; t++) positions[r * length + t] = BigInt(Math.max(0, known + t - pads[r]))
    }
    return this.#model.body.forward({
      inputIds,
      cache,
      pastLength: known,
      attentionMask: Tensor.from(seen, { shape: [batch, total], dtype: 'bool' }),
      positionIds: Tensor.from(positions, { shape: [batch, length] }),
    }).hidden
  }

  #decode(known: number, length: number): Tensor {
    const decoderInputIds = this.#newIds(known, length)
    return this.#model.body.forward({
      inputIds: decoderInputIds,
      attentionMask: this.#encoderMask,
      encoderHidden: this.#encoderHidden,
      decoderInputIds,
      cache: this.#cache?.layers,
      pastLength: known,
    }).hidden
  }

  /**
   * Takes up another prompt in the place of a single text without an encoder, and keeps what the cache has of its beginning.
   * @returns how many tokens need not be read again
   */
  takeUp(prompt: readonly number[]): number {
    invariant(this.size === 1 && !this.#hasEncoder, 'a prompt is taken up in the place of one text.')
    const row = this.#rows[0]
    // At least one token is read, for its scores.
    const most = Math.min(this.#cache?.length ?? 0, row.length, prompt.length - 1)
    let same = 0
    while (same < most && row[same] === prompt[same]) same++
    this.#cache?.truncate(same)
    this.#rows = [[...prompt]]
    return same
  }

  /** Adds one token to each text. */
  extend(ids: readonly number[]): void {
    ids.forEach((id, r) => {
      this.#rows[r].push(id)
    })
  }

  /** Makes text i what text `rows[i]` was: reorders, repeats and drops. */
  select(rows: readonly number[]): void {
    if (rows.length === this.size && rows.every((row, i) => row === i)) return
    this.#rows = rows.map((row) => [...this.#rows[row]])
    this.#pads = rows.map((row) => this.#pads[row])
    this.#cache?.select(rows)
    scope(() => {
      const index = Tensor.from(BigInt64Array.from(rows, BigInt))
      const pick = (tensor: Tensor | undefined) => {
        const picked = noGrad(() => tensor?.indexSelect(0, index).keep())
        tensor?.free()
        return picked
      }
      this.#encoderHidden = pick(this.#encoderHidden)
      this.#encoderMask = pick(this.#encoderMask)
    })
  }

  free(): void {
    this.#cache?.free()
    this.#encoderHidden?.free()
    this.#encoderMask?.free()
  }
}
