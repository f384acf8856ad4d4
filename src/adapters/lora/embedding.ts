// The low-rank change of the token embeddings, beside that of linear layers. A tied output layer keeps the base's table, as in PEFT.
import { CheckpointError, ConfigError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { Embedding } from '../../nn/index.ts'
import { cat, embedding, empty, type Generator, keep, linear, noGrad, type Tensor } from '../../tensor/index.ts'
import type { AttachContext, Placement } from '../adapter.ts'
import { LayerAdapter } from '../layer-adapter.ts'
import type { PeftFile } from '../peft/format.ts'
import { isTargeted, tableNames } from '../peft/names.ts'
import type { TargetLayer } from '../targets.ts'
import { TABLE_PATH } from '../targets.ts'
import { type LoraShape, scaleOf } from './layer.ts'

type Way = (ids: Tensor) => Tensor

/** E[ids] + scale · (B A[:, ids])ᵀ. @source peft/tuners/lora/layer.py, Embedding */
class EmbeddingLora extends LayerAdapter<Embedding, Way> {
  /** [R,vocabulary] */
  a: Tensor
  /** [width,R] */
  b: Tensor
  readonly #shape: Readonly<LoraShape>

  constructor(host: Embedding, shape: LoraShape) {
    super()
    const { dtype, device } = host
    const [entries, width] = host.shape
    this.#shape = shape
    this.a = keep(empty([shape.rank, entries], { dtype, device }).zero_())
    this.b = keep(empty([width, shape.rank], { dtype, device }).zero_())
  }

  override get rowWise(): boolean {
    return true
  }

  /** Size and scaling. */
  get shape(): Readonly<LoraShape> {
    return this.#shape
  }

  /** Normal values in B, as in PEFT. A is zero, so that the layer starts unchanged. */
  initializeB(generator: Generator): void {
    this.b.normal_(0, 1, { generator })
  }

  wrap({ paddingIndex }: Embedding, next: Way): Way {
    const options = paddingIndex === undefined ? {} : { paddingIdx: paddingIndex }
    return (ids) => {
      const narrow = embedding(this.a.t(), ids, options) // [...,R]
      const own = next(ids)
      return own.add(linear(narrow.mul(scaleOf(this.#shape)), this.b).to(own.dtype))
    }
  }

  override merged({ weight }: Embedding): Record<string, Tensor> {
    const [a, b] = [this.a.to('float32'), this.b.to('float32')]
    const change = b.matmul(a).t().mul(scaleOf(this.#shape)) // [vocabulary,width]
    return { weight: weight.to('float32').add(change).to(weight.dtype).contiguous() }
  }

  /** The exact weighted sum of the changes: the matrices side by side, with the sum of the ranks. */
  override setToSum(parts: readonly { adapter: LayerAdapter; weight: number }[]): void {
    const layers = parts.map(({ adapter, weight }) => ({ layer: adapter as EmbeddingLora, weight }))
    const factor = (layer: EmbeddingLora) => scaleOf(layer.shape) / scaleOf(this.#shape)
    this.a.copy_(
      cat(
        layers.map(({ layer }) => layer.a),
        0,
      ),
    )
    this.b.copy_(
      cat(
        layers.map(({ layer, weight }) => layer.b.mul(weight * factor(layer))),
        1,
      ),
    )
  }
}

/** Path of the token embeddings. */
export const EMBEDDING_PATH = TABLE_PATH.replace(/\.weight$/, '')

/** The token embeddings as a layer to adapt, by name only: `all-linear` leaves them out. */
export const tokenEmbeddings = ({ body }: Model): TargetLayer<Embedding>[] => [
  { path: EMBEDDING_PATH, layer: body.embedTokens },
]

/** Puts LoRA on the token embeddings. @throws ConfigError for models and settings that it does not go with */
export const attachEmbedding = (
  { facts, definition }: Model,
  targets: readonly (TargetLayer<Embedding> & { shape: LoraShape })[],
  context: AttachContext,
): Placement[] =>
  targets.map(({ path, layer, shape }) => {
    if (facts.decoderStartTokenId !== undefined)
      throw new ConfigError(
        `\`adapter.targets\` ${EMBEDDING_PATH.split('.').at(-1)} needs a model with one stack, got ${definition.type}, whose encoder and decoder share the embeddings: PEFT ignores LoRA on them. Leave it out.`,
      )
    if (shape.dora)
      throw new ConfigError(
        '`adapter.dora` needs linear layers, got the token embeddings. Leave embedTokens out of `adapter.targets`.',
      )
    const adapter = new EmbeddingLora(layer, shape)
    adapter.initializeB(context.generator)
    return { path, host: layer, adapter }
  })

const suffixes = { a: '.lora_embedding_A', b: '.lora_embedding_B' } as const

/** Tensors of the LoRA of the embeddings in PEFT's files, and the name of their module. */
export const writeEmbedding = (
  model: Model,
  placements: readonly { adapter: LayerAdapter }[],
): { module: string; shape: LoraShape; tensors: Map<string, Tensor> } | undefined => {
  const found = placements.map(({ adapter }) => adapter).find((adapter) => adapter instanceof EmbeddingLora)
  const { embedding: module } = tableNames(model)
  if (found === undefined || module === undefined) return undefined
  return {
    module,
    shape: found.shape,
    tensors: new Map([
      [module + suffixes.a, found.a],
      [module + suffixes.b, found.b],
    ]),
  }
}

/** Name of the module of the token embeddings, where a file has LoRA on it. */
export const embeddingIn = (file: PeftFile, model: Model): string | undefined => {
  const { embedding: module } = tableNames(model)
  if (module === undefined) return undefined
  return file.has(module + suffixes.a) || file.has(module + suffixes.b) || isTargeted(file, module) === true
    ? module
    : undefined
}

/**
 * Reads the LoRA of the token embeddings. PEFT also stores the table of the base beside it.
 * @throws CheckpointError for a table that differs from the base's
 */
export const readEmbedding = (file: PeftFile, model: Model, module: string, rank: number) => {
  const { embedTokens } = model.body
  const [entries, width] = embedTokens.shape
  const a = file.take(module + suffixes.a, [rank, entries])
  const b = file.take(module + suffixes.b, [width, rank])
  const key = `${module}.base_layer.weight`
  const stored = file.has(key) ? file.take(key, embedTokens.shape) : undefined
  if (
    stored !== undefined &&
    !stored.to({ dtype: embedTokens.weight.dtype, device: embedTokens.device }).equal(embedTokens.weight.detach())
  )
    throw new CheckpointError(
      `${file.path}: Expected the base's own table for ${key}, got another one. Use the base that the adapter was trained on.`,
    )
  return (adapters: readonly LayerAdapter[]) =>
    noGrad(() => {
      const found = adapters.find((adapter) => adapter instanceof EmbeddingLora)
      if (a !== undefined) found?.a.copy_(a)
      if (b !== undefined) found?.b.copy_(b)
    })
}
