// Small models with odd settings, their ONNX files, and runs of both on the same batch.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, Tensor as OnnxTensor } from 'onnxruntime-node'
import { type WriteOnnxOptions, writeOnnx } from '../../src/export/onnx/write-onnx.ts'
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
