// Vectors of texts: sorted by length and run packed, so that no time goes into padding. Knows no architecture and no tokenizer's kind.
import { z } from 'zod'
import { ConfigError, parseConfig } from '../core/index.ts'
import { type BodyInputs, EmbeddingHead, type Model } from '../models/index.ts'
import { cat, inferenceMode, scope, Tensor } from '../tensor/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'

export const embedSchema = z.strictObject({
  batchTokens: z.int().positive().default(2048).describe('most tokens in a batch; a longer text is a batch of its own'),
  maxTokens: z
    .int()
    .positive()
    .optional()
    .describe('longer texts are cut; what the files say of the model and its tokenizer unless given'),
})
export type EmbedSettings = z.output<typeof embedSchema>

export interface EmbedHooks {
  /** Called after each batch with the number of texts that are done. */
  onProgress?(done: number): void
  signal?: AbortSignal
}

interface Row {
  /** Its place among the texts. */
  index: number
  ids: readonly number[]
}

/**
 * One vector for each text, float32 [texts,C], in their order: pooled and scaled as the model's embedding head says.
 * @throws ConfigError for a model with another head, settings that do not fit, or a text without tokens
 */
export const embedTexts = async (
  model: Model,
  tokenizer: Tokenizer,
  texts: readonly string[],
  options: Partial<EmbedSettings> & EmbedHooks = {},
): Promise<Tensor> => {
  const { onProgress, signal, ...settings } = options
  const { batchTokens, maxTokens = longest(model, tokenizer) } = parseConfig(embedSchema, settings, 'settings')
  if (!(model.head instanceof EmbeddingHead))
    throw new ConfigError(
      `Expected a model with an embedding head, got ${model.headType}. Load it with head: 'embedding'.`,
    )
  if (texts.length === 0) return Tensor.from(new Float32Array(0), { shape: [0, model.facts.hiddenSize] })
  const rows = texts.map((text, index) => ({ index, ids: idsOf(tokenizer, text, maxTokens, index) }))
  rows.sort((a, b) => a.ids.length - b.ids.length)
  const wasTraining = model.training
  model.eval()
  const parts: Tensor[] = []
  try {
    let done = 0
    for (const batch of batchesOf(rows, batchTokens)) {
      // Lets signals and progress through between two batches.
      await new Promise((resolve) => setImmediate(resolve))
      signal?.throwIfAborted()
      parts.push(inferenceMode(() => scope(() => vectorsOf(model, tokenizer, batch))))
      done += batch.length
      onProgress?.(done)
    }
    const places = new BigInt64Array(rows.length)
    rows.forEach(({ index }, i) => {
      places[index] = BigInt(i)
    })
    return scope(() => cat(parts, 0).indexSelect(0, Tensor.from(places, { shape: [places.length] })))
  } finally {
    for (const part of parts) part.free()
    if (wasTraining) model.train()
  }
}

/** What the model's positions, its sentence settings and its tokenizer allow. */
const longest = (model: Model, tokenizer: Tokenizer): number | undefined => {
  const known = [model.facts.maxPositions, model.headOptions.maxTokens, tokenizer.maxLength]
  const limits = known.filter((limit) => limit !== undefined)
  return limits.length > 0 ? Math.min(...limits) : undefined
}

const idsOf = (tokenizer: Tokenizer, text: string, maxTokens: number | undefined, index: number): readonly number[] => {
  const truncation = maxTokens === undefined ? undefined : { maxLength: maxTokens }
  const { ids } = tokenizer.encode(text, { truncation })
  if (ids.length === 0)
    throw new ConfigError(`Expected at least one token for \`texts[${index}]\`, got none. Leave empty texts out.`)
  return ids
}

/** Cuts sorted rows into batches, each as full as may be. */
function* batchesOf(rows: readonly Row[], batchTokens: number): Generator<Row[], void> {
  let batch: Row[] = []
  let tokens = 0
  for (const row of rows) {
    if (batch.length > 0 && tokens + row.ids.length > batchTokens) {
      yield batch
      batch = []
      tokens = 0
    }
    batch.push(row)
    tokens += row.ids.length
  }
  yield batch
}

/** [rows,C] float32 on the CPU */
const vectorsOf = (model: Model, tokenizer: Tokenizer, batch: readonly Row[]): Tensor => {
  const inputs = model.facts.packs === false ? paddedInputs(batch, tokenizer.special.pad?.id ?? 0) : packedInputs(batch)
  const { device } = model.body.embedTokens.weight
  const moved = Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, value.to({ device })]))
  return model.forward(moved as unknown as BodyInputs).logits.to({ dtype: 'float32', device: 'cpu' })
}

const packedInputs = (batch: readonly Row[]) => {
  const starts = new BigInt64Array(batch.length + 1)
  batch.forEach(({ ids }, i) => {
    starts[i + 1] = starts[i] + BigInt(ids.length)
  })
  const inputIds = new BigInt64Array(Number(starts[batch.length]))
  batch.forEach(({ ids }, i) => {
    inputIds.set(ids.map(BigInt), Number(starts[i]))
  })
  return {
    inputIds: Tensor.from(inputIds, { shape: [1, inputIds.length] }),
    starts: Tensor.from(starts, { shape: [starts.length] }),
  }
}

const paddedInputs = (batch: readonly Row[], padId: number) => {
  const length = batch[batch.length - 1].ids.length // sorted: the last is the longest
  const inputIds = new BigInt64Array(batch.length * length).fill(BigInt(padId))
  const attentionMask = new BigInt64Array(batch.length * length)
  batch.forEach(({ ids }, row) => {
    inputIds.set(ids.map(BigInt), row * length)
    attentionMask.fill(1n, row * length, row * length + ids.length)
  })
  const shape = [batch.length, length]
  return { inputIds: Tensor.from(inputIds, { shape }), attentionMask: Tensor.from(attentionMask, { shape }) }
}
