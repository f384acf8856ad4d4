// Trained rows of the token embeddings and of the output layer, beside LoRA: those of new tokens, such as the ends of turns in a chat.
// In files they are PEFT's trainable tokens.
import { CheckpointError, ConfigError, show } from '../../core/index.ts'
import { LanguageHead, type Model } from '../../models/index.ts'
import { Embedding, type Linear, type Module } from '../../nn/index.ts'
import { keep, linear, noGrad, Tensor } from '../../tensor/index.ts'
import type { Placement } from '../adapter.ts'
import { LayerAdapter } from '../layer-adapter.ts'
import type { PeftFile } from '../peft/format.ts'
import { tableNames } from '../peft/names.ts'
import { TABLE_PATH, TIED_PATH, tiedLayer } from '../targets.ts'

type Way = (input: Tensor) => Tensor

/** Replaces rows of an embedding, or of an output layer. @source peft/tuners/trainable_tokens/layer.py */
class TokenRows extends LayerAdapter<Embedding | Linear, Way> {
  /** [tokens, width]; the one tensor of embedding and output layer where these are tied */
  rows: Tensor
  readonly #ids: readonly number[]
  readonly #isTied: boolean
  readonly #isLookup: boolean

  constructor(host: Embedding | Linear, ids: readonly number[], tied?: Tensor) {
    super()
    this.#ids = ids
    this.#isTied = tied !== undefined
    this.#isLookup = host instanceof Embedding
    this.rows = tied ?? keep(noGrad(() => host.weight.detach().indexSelect(0, this.#index(host.device)).clone()))
  }

  /** Ids of the tokens whose rows are trained. */
  get ids(): readonly number[] {
    return this.#ids
  }

  #index(device: string): Tensor {
    return Tensor.from(Int32Array.from(this.#ids), { dtype: 'int64', device })
  }

  wrap(host: Embedding | Linear, next: Way): Way {
    return this.#isLookup ? this.#looked(next) : this.#scored(host as Linear, next)
  }

  #looked(next: Way): Way {
    return (ids) => {
      const own = next(ids)
      const match = ids.unsqueeze(-1).eq(this.#index(ids.device)).to(own.dtype) // [...,tokens]
      const others = match.sum(-1, { keepdim: true }).neg().add(1)
      return own.mul(others).add(match.matmul(this.rows.to(own.dtype)))
    }
  }

  #scored({ bias }: Linear, next: Way): Way {
    return (hidden) => {
      const logits = next(hidden)
      const index = this.#index(hidden.device)
      const own = linear(hidden, this.rows, bias?.indexSelect(0, index) ?? null).to(logits.dtype)
      return logits.scatter(-1, index.expand(own.shape), own)
    }
  }

  override outputMatrix(weight: Tensor): Tensor {
    const { shape } = this.rows
    return weight.scatter(0, this.#index(weight.device).unsqueeze(1).expand(shape), this.rows.to(weight.dtype))
  }

  override merged({ weight }: Embedding | Linear): Record<string, Tensor> {
    // The matrix of a tied output layer is that of the embedding, which is replaced already.
    return this.#isTied ? {} : { weight: this.outputMatrix(weight) }
  }
}

/**
 * Puts trained rows on the embedding and, in language models, on the output layer.
 * @param withOutput whether an output layer with a matrix of its own gets some too
 */
export const attachTokenRows = (model: Model, ids: readonly number[], withOutput = true): Placement[] => {
  if (ids.length === 0) return []
  const { embedTokens } = model.body
  if (embedTokens.blocks !== undefined)
    throw new ConfigError('`adapter.tokens` needs embeddings that are not packed: convert the GGUF file first.')
  const embedding = new TokenRows(embedTokens, ids)
  const placements: Placement[] = [{ path: TABLE_PATH.replace(/\.weight$/, ''), host: embedTokens, adapter: embedding }]
  if (!((model.head as Module) instanceof LanguageHead)) return placements
  // The type of a model names no head: the check above does.
  const { lmHead } = model.head as unknown as LanguageHead
  const isTied = tiedLayer(model) !== undefined
  if (!isTied && !withOutput) return placements
  const output = new TokenRows(lmHead, ids, isTied ? embedding.rows : undefined)
  return [...placements, { path: TIED_PATH.replace(/\.weight$/, ''), host: lmHead, adapter: output }]
}

/** The ids of tokens by their text. @throws ConfigError for a text that is not one token */
export const tokenIds = (
  tokens: readonly string[],
  encode: ((text: string) => ArrayLike<number>) | undefined,
  rows: number,
): number[] =>
  tokens.map((token) => {
    const ids = Array.from(encode?.(token) ?? [])
    if (ids.length !== 1)
      throw new ConfigError(
        `Expected tokens of the tokenizer for \`adapter.tokens\`, got ${show(token)}, which is ${ids.length} tokens. Add it with \`vocabulary grow\`.`,
      )
    if (ids[0] >= rows)
      throw new ConfigError(
        `Expected a model with a row for ${show(token)}, which has the id ${ids[0]}, got ${rows} rows. Grow the model with \`vocabulary grow\`.`,
      )
    return ids[0]
  })

const field = 'trainable_token_indices'
const suffix = '.token_adapter.trainable_tokens_delta'

/** Fields and tensors of trained rows in PEFT's files. */
export const writeTokenRows = (
  model: Model,
  placements: readonly { adapter: LayerAdapter }[],
): { fields: Record<string, unknown>; tensors: Map<string, Tensor> } => {
  const [embedding, output] = placements.flatMap(({ adapter }) => (adapter instanceof TokenRows ? [adapter] : []))
  const names = tableNames(model)
  if (embedding === undefined || names.embedding === undefined) return { fields: {}, tensors: new Map() }
  const tensors = new Map([[names.embedding + suffix, embedding.rows]])
  // PEFT gives a tied output layer the rows of the embedding.
  if (output === undefined || output.rows === embedding.rows || names.output === undefined)
    return { fields: { [field]: [...embedding.ids] }, tensors }
  tensors.set(names.output + suffix, output.rows)
  const last = (name: string) => name.split('.').at(-1) as string
  return { fields: { [field]: { [last(names.embedding)]: embedding.ids, [last(names.output)]: output.ids } }, tensors }
}

const isIds = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((id) => Number.isInteger(id) && id >= 0)

/** Trained rows in a file: the ids, and how the values are filled in. @throws CheckpointError for ids that the base does not have */
export const readTokenRows = (file: PeftFile, model: Model) => {
  const given = file.fields[field]
  const names = tableNames(model)
  if (given === undefined || given === null || names.embedding === undefined)
    return { ids: [] as number[], withOutput: false, fill: () => {} }
  const lists = isIds(given) ? [given] : Object.values(given)
  if (!isIds(given) && !Object.keys(given).some((name) => `.${names.embedding}`.endsWith(`.${name}`)))
    throw new CheckpointError(
      `${file.path}: Expected token ids of the embeddings ${names.embedding} in \`${field}\`, got ${show(given)}. Merge the adapter into its base with PEFT.`,
    )
  const [ids] = lists
  if (!lists.every(isIds) || lists.some((list) => list.join() !== ids.join()))
    throw new CheckpointError(
      `${file.path}: Expected the same token ids for all layers in \`${field}\`, got ${show(given)}.`,
    )
  const { vocabSize } = model.facts
  const lacking = ids.filter((id: number) => id >= vocabSize)
  if (lacking.length > 0)
    throw new CheckpointError(
      `${file.path}: Expected a base with rows for the tokens ${lacking.join(', ')}, got a vocabulary of ${vocabSize}. Use the base that was grown for this adapter.`,
    )
  const width = model.body.embedTokens.shape[1]
  const isTied = tiedLayer(model) !== undefined
  const withOutput = !isTied && names.output !== undefined && file.has(names.output + suffix)
  const values = [names.embedding, ...(withOutput ? [names.output] : [])].map((name) =>
    file.take(name + suffix, [ids.length, width]),
  )
  return {
    ids,
    withOutput,
    fill: (adapters: readonly LayerAdapter[]) =>
      noGrad(() => {
        const rows = adapters.flatMap((adapter) => (adapter instanceof TokenRows ? [adapter.rows] : []))
        for (const [i, value] of values.entries()) if (value !== undefined) rows[i]?.copy_(value)
      }),
  }
}

/** The field of PEFT's files. */
export const tokenRowsField = field
