// The model that generation needs, and a batch of sequences that grow by one token at a time: padding, positions, cache
// and encoder outputs. Independent of architectures and of how tokens are chosen.
import { ConfigError, invariant, ShapeError } from '../core/index.ts'
import { type LanguageHead, type Model, writesText } from '../models/index.ts'
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
  const { headType, definition } = model
  if (!writesText(model))
    throw new ConfigError(
      `\`${caller}\` needs a model that writes text, with the head causal-lm or seq2seq-lm: this ${definition.type} has the head ${headType}. Load it with that head, or choose another model.`,
    )
  model.ready()
  return model as LanguageModel
}

/** Logits of the next token after hidden states [n,C]: [n,V], in float32 for any dtype of the weights. */
export const logitsOf = ({ head }: LanguageModel, hidden: Tensor): Tensor => head.wideLogits(head.prepare(hidden))

/** How a batch of sequences is decoded. */
export interface DecodingBatchOptions {
  /** Upper bound of the new tokens of a sequence. */
  maxNewTokens: number
  /** Keep keys and values of earlier tokens. */
  useCache: boolean
  /** First decoder token, for encoder-decoders. */
  decoderStartTokenId: number | undefined
  /** Pads short prompts; masked out. */
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

/** Initial capacity of a cache, in tokens beyond the prompt. */
const firstCapacity = 1024

/** A batch of sequences that are decoded together. */
export class DecodingBatch {
  readonly #model: LanguageModel
  readonly #options: DecodingBatchOptions
  readonly #cache: KvCache | undefined
  readonly #hasEncoder: boolean
  /** Token ids of each sequence, without padding. */
  #rows: number[][]
  #encoderHidden: Tensor | undefined
  #encoderMask: Tensor | undefined
  /** Padding before each row. */
  #pads: number[]

  constructor(model: LanguageModel, prompts: readonly (readonly number[])[], options: DecodingBatchOptions) {
    this.#model = model
    this.#options = options
    this.#hasEncoder = !model.facts.causal
    // A decoding step multiplies every weight by a few rows, and the kernel for that needs row-major weights.
    model.body.makeContiguous()
    const longest = Math.max(...prompts.map((prompt) => prompt.length))
    if (this.#hasEncoder) {
      const start = options.decoderStartTokenId
      if (start === undefined)
        throw new ConfigError(
          'Generating with an encoder-decoder needs `decoderStartTokenId`: take it from generation_config.json.',
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
      this.#cache = new KvCache(model.facts.numLayers, Math.min(length + options.maxNewTokens, length + firstCapacity))
  }

  get #device(): string {
    return this.#model.body.embedTokens.device
  }

  /** Number of sequences. */
  get size(): number {
    return this.#rows.length
  }

  #encode(prompts: readonly (readonly number[])[], longest: number): void {
    const { ids, seen } = tokensOf(prompts, longest, this.#options.padTokenId, 'right')
    const shape = [prompts.length, longest]
    const padded = seen.includes(0)
    scope(() =>
      noGrad(() => {
        const device = this.#device
        const inputIds = Tensor.from(ids, { shape, device })
        if (padded) this.#encoderMask = Tensor.from(seen, { shape, dtype: 'bool', device }).keep()
        this.#encoderHidden = this.#model.body.forward({ inputIds, attentionMask: this.#encoderMask }).hidden.keep()
      }),
    )
  }

  /**
   * Logits of the next token of each sequence, float32 [B,V]. The first call runs the prompts, later ones the tokens
   * that `extend` added.
   */
  nextLogits(): Tensor {
    const known = this.#cache?.length ?? 0
    const total = this.#rows[0].length + this.#pads[0]
    const length = total - known
    if (length === 0)
      throw new ShapeError('Expected a new token in every row for `nextLogits`, got none. Call `extend` first.')
    return scope(() =>
      noGrad(() => {
        const hidden = this.#hasEncoder ? this.#decode(known, length) : this.#continue(known, length)
        const last = length === 1 ? hidden : hidden.narrow(1, length - 1, 1)
        return logitsOf(this.#model, last.squeeze(1))
      }),
    )
  }

  #newIds(known: number, length: number): Tensor {
    const rows = this.#rows.map((row, r) => row.slice(Math.max(0, known - this.#pads[r])))
    const { ids } = tokensOf(rows, length, this.#options.padTokenId, 'left')
    return Tensor.from(ids, { shape: [rows.length, length], device: this.#device })
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
      attentionMask: Tensor.from(seen, { shape: [batch, total], dtype: 'bool', device: this.#device }),
      positionIds: Tensor.from(positions, { shape: [batch, length], device: this.#device }),
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
   * Replaces the single sequence of a decoder by another prompt and keeps the cached keys and values of their common
   * prefix.
   * @returns the number of tokens that need not be computed again
   */
  reusePrefix(prompt: readonly number[]): number {
    invariant(this.size === 1 && !this.#hasEncoder, 'reusePrefix needs a batch of one sequence, without an encoder.')
    const row = this.#rows[0]
    // At least one token must be computed, since the logits of the last one are needed.
    const most = Math.min(this.#cache?.length ?? 0, row.length, prompt.length - 1)
    let same = 0
    while (same < most && row[same] === prompt[same]) same++
    this.#cache?.truncate(same)
    this.#rows = [[...prompt]]
    return same
  }

  /** Appends one token to each sequence. */
  extend(ids: readonly number[]): void {
    ids.forEach((id, r) => {
      this.#rows[r].push(id)
    })
  }

  /** Makes sequence i the former sequence `rows[i]`: reorders, repeats or drops sequences. */
  select(rows: readonly number[]): void {
    if (rows.length === this.size && rows.every((row, i) => row === i)) return
    this.#rows = rows.map((row) => [...this.#rows[row]])
    this.#pads = rows.map((row) => this.#pads[row])
    this.#cache?.select(rows)
    scope(() => {
      const index = Tensor.from(BigInt64Array.from(rows, BigInt), { device: this.#device })
      const pick = (tensor: Tensor | undefined) => {
        const picked = noGrad(() => tensor?.indexSelect(0, index).keep())
        tensor?.free()
        return picked
      }
      this.#encoderHidden = pick(this.#encoderHidden)
      this.#encoderMask = pick(this.#encoderMask)
    })
  }

  /** Frees the cache and the encoder's outputs. */
  free(): void {
    this.#cache?.free()
    this.#encoderHidden?.free()
    this.#encoderMask?.free()
  }
}
