// Small models with odd settings, their ONNX files, and runs of both on the same batch.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, Tensor as OnnxTensor } from 'onnxruntime-node'
import type { OnnxOperators } from '../../src/export/export-target.ts'
import { type OnnxFormat, type WriteOnnxOptions, writeOnnx } from '../../src/export/onnx/write-onnx.ts'
import { buildModel, type HeadType, type Model, models } from '../../src/models/index.ts'
import { Generator, noGrad, scope, Tensor } from '../../src/tensor/index.ts'

/** Widths and heads that no preset has, so that a swapped or assumed size shows. */
export const odd: Record<string, Record<string, unknown>> = {
  albert: { hiddenSize: 36, numHeads: 3, intermediateSize: 52, numLayers: 3, layerGroups: 2 },
  bart: {
    hiddenSize: 36,
    numHeads: 3,
    numDecoderLayers: 3,
    numDecoderHeads: 6,
    decoderIntermediateSize: 40,
    padTokenId: 0,
  },
  bert: { hiddenSize: 36, numHeads: 3, intermediateSize: 52, activation: 'gelu_new', typeVocabSize: 3 },
  'deberta-v2': { hiddenSize: 36, numHeads: 3, intermediateSize: 52, positionBuckets: 4 },
  distilbert: { hiddenSize: 40, numHeads: 5, intermediateSize: 44, tiedEmbeddings: false },
  electra: { embeddingSize: 20, hiddenSize: 36, numHeads: 3, intermediateSize: 52 },
  gemma: { numHeads: 3, numKvHeads: 1, headDim: 10 },
  gemma2: { headDim: 12, slidingWindow: 3, queryScale: 5, attentionSoftcap: 1.5, logitSoftcap: 2 },
  gemma3: { headDim: 12, slidingWindow: 3, windowPattern: 2, queryScale: 5 },
  'gpt-neox': { hiddenSize: 36, numHeads: 3, intermediateSize: 50, partialRotaryFactor: 0.5 },
  gpt2: { hiddenSize: 36, numHeads: 3, intermediateSize: 50, scaleAttentionByLayer: true },
  llama: { numHeads: 6, numKvHeads: 2, headDim: 10, attentionBias: true, mlpBias: true, tiedEmbeddings: true },
  mbart: { hiddenSize: 36, numHeads: 3, numDecoderLayers: 1, padTokenId: 0, eosTokenId: 3 },
  modernbert: { hiddenSize: 36, numHeads: 3, intermediateSize: 44, localAttention: 4, normBias: true, mlpBias: true },
  olmo2: { numHeads: 4, numKvHeads: 2, intermediateSize: 50 },
  smollm3: { numLayers: 3, positionlessInterval: 2, mlpBias: true },
  mpnet: { hiddenSize: 36, numHeads: 3, intermediateSize: 52 },
  mistral: { slidingWindow: 3 },
  mixtral: { numExperts: 5, expertsPerToken: 3, slidingWindow: 3 },
  qwen2: { ropeScaling: { kind: 'yarn', factor: 4, originalPositions: 8, betaFast: 32, betaSlow: 1 } },
  qwen3: { headDim: 12, ropeScaling: { kind: 'dynamic', factor: 2, originalPositions: 4 } },
  'qwen3-moe': { numLayers: 3, denseLayers: [1], numExperts: 5, expertsPerToken: 2, normalizeWeights: false },
  roberta: { hiddenSize: 36, numHeads: 3, intermediateSize: 52 },
  t5: {
    headDim: 6,
    numDecoderLayers: 3,
    gated: true,
    activation: 'gelu_new',
    relativeMaxDistance: 20,
    relativeBuckets: 8,
  },
}

/** Heads of 8, 16, 24 and 40 elements in place of those that GroupQueryAttention does not have. */
export const groupable: Record<string, Record<string, unknown>> = {
  gemma: { headDim: 40 },
  gemma2: { headDim: 24 },
  gemma3: { headDim: 24 },
  'gpt-neox': { hiddenSize: 48 },
  gpt2: { hiddenSize: 72 },
  llama: { headDim: 24 },
  qwen3: { headDim: 24, ropeScaling: { kind: 'linear', factor: 2 } },
}

/** A model with random weights, those of norms and biases too. */
export const oddModel = (
  type: keyof typeof models,
  head: HeadType,
  changes: Record<string, unknown> = {},
  std = 0.2,
): Model => {
  const definition = models[type]
  const config = definition.adjust(definition.presets.test, { ...odd[type], ...changes })
  const model = buildModel(definition, config, head, { labels: ['a', 'b', 'c'] })
  const generator = new Generator(7)
  model.initialize({ std, generator })
  noGrad(() => {
    // Gemma stores the weights of norms minus one.
    const mean = type.startsWith('gemma') ? 0 : 1
    for (const parameter of model.parameters().values())
      if (parameter.ndim === 1) parameter.normal_(mean, 0.2, { generator })
  })
  return model.eval()
}

/** Three rows of ids; the second and third end with padding (id 0, or 1 for RoBERTa). */
export const batch = (padding: number) => {
  const lengths = [7, 4, 1]
  const ids = lengths.map((length, row) =>
    Array.from({ length: 7 }, (_, t) => (t < length ? 3 + ((row * 31 + t * 17) % 120) : padding)),
  )
  return { ids, mask: lengths.map((length) => Array.from({ length: 7 }, (_, t) => (t < length ? 1 : 0))) }
}

/** The inputs as onnxruntime's. */
export const int64 = (values: readonly number[], shape: readonly number[]): OnnxTensor =>
  new OnnxTensor('int64', BigInt64Array.from(values, BigInt), shape)

/** int64 tensor of ours. */
export const ours = (rows: readonly (readonly number[])[], shape?: readonly number[]): Tensor =>
  Tensor.from(BigInt64Array.from(rows.flat(), BigInt), { shape: shape ?? [rows.length, rows[0].length] })

/** Runs a function on sessions of the model's ONNX files. */
export const withSessions = async <Result>(
  model: Model,
  options: WriteOnnxOptions,
  use: (sessions: InferenceSession[]) => Promise<Result>,
): Promise<Result> => {
  const folder = await mkdtemp(join(tmpdir(), 'onnx-'))
  try {
    const files = (await writeOnnx(model, folder, options)).filter((name) => name.endsWith('.onnx'))
    const settings = { intraOpNumThreads: 1, logSeverityLevel: 3 as const }
    const sessions = await Promise.all(files.map((name) => InferenceSession.create(join(folder, name), settings)))
    return await use(sessions)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Largest difference, relative to the largest expected magnitude when that is above 1. */
export const difference = (got: ArrayLike<number>, expected: ArrayLike<number>): number => {
  if (got.length !== expected.length) return Number.POSITIVE_INFINITY
  let [worst, scale] = [0, 1]
  for (let i = 0; i < got.length; i++) {
    // NaN fails too.
    if (!(Math.abs(got[i] - expected[i]) <= worst)) worst = Math.abs(got[i] - expected[i])
    scale = Math.max(scale, Math.abs(expected[i]))
  }
  return worst / scale
}

/** Values of our model in float32, without gradients. */
export const values = (compute: () => Tensor): Float32Array => noGrad(() => scope(() => compute().toFloat32Array()))

/** Empty keys and values for every cache input of a session. */
export const emptyCache = (session: InferenceSession, rows: number): Record<string, OnnxTensor> =>
  Object.fromEntries(
    session.inputMetadata.flatMap((input) => {
      if (!input.name.startsWith('past_key_values') || !input.isTensor) return []
      const shape = input.shape.map((size) => (typeof size === 'number' ? size : size === 'batch_size' ? rows : 0))
      return [[input.name, new OnnxTensor('float32', new Float32Array(0), shape)]]
    }),
  )

// float32 differs by rounding. Half precision: the limit. Integers: what these random weights lose, so that a
// wrong scale, zero point or layout shows; equality with the reference quantisers is a test of its own. Sums of 8-bit
// products depend on the processor: without VNNI some saturate.
export const limits: Record<OnnxFormat, number> = { fp32: 1e-4, fp16: 1e-2, q8: 0.4, q4: 0.8, q4f16: 0.8 }

/** Outputs of our own forward pass, by the names in the file. */
export const expected = (model: Model, ids: number[][], mask: number[][]): Record<string, Float32Array> => {
  const choices = model.headType === 'multiple-choice'
  const shape = choices ? [1, 3, 7] : undefined
  const inputs = { inputIds: ours(ids, shape), attentionMask: ours(mask, shape) }
  const logits = values(() => model.forward(inputs).logits)
  if (model.headType === 'embedding') return { sentence_embedding: logits }
  if (model.headType !== 'question-answering') return { logits }
  const of = (part: number) => logits.filter((_, i) => i % 2 === part)
  return { start_logits: of(0), end_logits: of(1) }
}

/** Elements of rows [B,T,…] at tokens that are no padding, where there is a value for each token. */
export const seen = (found: ArrayLike<number>, mask: number[][]): number[] => {
  const flat = mask.flat()
  const all = Array.from(found)
  if (all.length % flat.length !== 0) return all
  const width = all.length / flat.length
  return all.filter((_, i) => flat[Math.floor(i / width)] === 1)
}

/** Largest difference of the outputs of a batch with padding on the right. */
export const worstOf = async (model: Model, format: OnnxFormat, operators: OnnxOperators = 'plain') => {
  const { ids, mask } = batch(['roberta', 'mpnet'].includes(model.definition.type) ? 1 : 0)
  const shape = model.headType === 'multiple-choice' ? [1, 3, 7] : [3, 7]
  return withSessions(model, { format, operators }, async ([session]) => {
    const all: Record<string, OnnxTensor> = {
      input_ids: int64(ids.flat(), shape),
      attention_mask: int64(mask.flat(), shape),
      token_type_ids: int64(ids.flat().fill(0), shape),
      num_logits_to_keep: int64([0], []),
      ...emptyCache(session, 3),
    }
    const outputs = await session.run(Object.fromEntries(session.inputNames.map((name) => [name, all[name]])))
    const parts = Object.entries(expected(model, ids, mask)).map(([name, wanted]) =>
      difference(seen(outputs[name].data as Float32Array, mask), seen(wanted, mask)),
    )
    return Math.max(...parts)
  })
}

/** The cache that a call gave, as inputs of the next. */
const cacheAfter = (
  cache: Record<string, OnnxTensor>,
  outputs: Awaited<ReturnType<InferenceSession['run']>>,
): Record<string, OnnxTensor> =>
  Object.fromEntries(
    Object.keys(cache).map((name) => [name, outputs[name.replace('past_key_values', 'present')] as OnnxTensor]),
  )

/** Logits of one text in one pass of ours, [T,V]. */
const wholeText = (model: Model, ids: readonly number[]): Float32Array =>
  values(() => model.forward({ inputIds: ours([ids]) }).logits)

/**
 * Largest difference of the logits of the last token while a text with padding before it is read in three calls with a
 * cache, of 4, 1 and 2 tokens.
 */
export const worstWithCache = (model: Model, operators: OnnxOperators): Promise<number> => {
  const ids = batch(0).ids[0]
  const wanted = wholeText(model, ids)
  const vocabulary = model.facts.vocabSize
  return withSessions(model, { operators }, async ([session]) => {
    let cache = emptyCache(session, 1)
    const found: number[] = []
    for (const [from, to] of [
      [0, 4],
      [4, 5],
      [5, 7],
    ]) {
      const padded = from === 0 ? [0, 0, ...ids.slice(0, to)] : ids.slice(from, to)
      const outputs = await session.run({
        input_ids: int64(padded, [1, padded.length]),
        attention_mask: int64([0, 0, ...ids.slice(0, to).map(() => 1)], [1, to + 2]),
        num_logits_to_keep: int64([1], []),
        ...cache,
      })
      const last = wanted.subarray((to - 1) * vocabulary, to * vocabulary)
      found.push(difference(outputs.logits.data as Float32Array, last))
      cache = cacheAfter(cache, outputs)
    }
    return Math.max(...found)
  })
}

/**
 * Largest difference of the logits of two texts, read as a batch of prompts of 4 and 2 tokens, padded to 4, and then of one
 * token each in every call.
 */
export const worstInBatch = (model: Model, operators: OnnxOperators, side: 'left' | 'right'): Promise<number> => {
  const [first] = batch(0).ids
  const [texts, lengths] = [
    [first, first.slice(3).reverse()],
    [4, 2],
  ]
  const wanted = texts.map((ids) => wholeText(model, ids))
  const vocabulary = model.facts.vocabSize
  const padded = (row: readonly number[]) => {
    const padding = Array(4 - row.length).fill(0)
    return side === 'left' ? [...padding, ...row] : [...row, ...padding]
  }
  return withSessions(model, { operators }, async ([session]) => {
    let cache = emptyCache(session, 2)
    let mask = lengths.map((length) => padded(Array(length).fill(1)))
    let ids = texts.map((row, i) => padded(row.slice(0, lengths[i])))
    const found: number[] = []
    for (let step = 0; step < 3; step++) {
      const outputs = await session.run({
        input_ids: int64(ids.flat(), [2, ids[0].length]),
        attention_mask: int64(mask.flat(), [2, mask[0].length]),
        num_logits_to_keep: int64([0], []),
        ...cache,
      })
      const logits = outputs.logits.data as Float32Array
      for (const [row, length] of lengths.entries()) {
        const at = step > 0 || side === 'left' ? ids[0].length - 1 : length - 1
        const from = (row * ids[0].length + at) * vocabulary
        const token = length - 1 + step
        const last = wanted[row].subarray(token * vocabulary, (token + 1) * vocabulary)
        found.push(difference(logits.subarray(from, from + vocabulary), last))
      }
      cache = cacheAfter(cache, outputs)
      mask = mask.map((row) => [...row, 1])
      ids = texts.map((row, i) => [row[lengths[i] + step]])
    }
    return Math.max(...found)
  })
}
