// The target `onnx`: a folder that transformers.js and onnxruntime open, with several formats beside each other. It is run in
// onnxruntime-node, and generates and encodes in transformers.js, where they are installed. Quantised matrices become floats again, so
// that onnxruntime is compared with the same weights: what remains is the arithmetic, and a wrong layout, scale or zero point shows.

import { join } from 'node:path'
import { exists } from '../../core/index.ts'
import { buildModel, LanguageHead, type Model } from '../../models/index.ts'
import { Embedding } from '../../nn/index.ts'
import { Tensor } from '../../tensor/index.ts'
import type { ExportSource, ExportTarget, ProofContext, ProofRow } from '../export-target.ts'
import { compareLogits, compareRunner } from '../proof/compare-models.ts'
import { compareScores } from '../proof/compare-scores.ts'
import { compareWeights } from '../proof/differences.ts'
import { runModel } from '../proof/runner.ts'
import { generateInTransformersJs, proveInTransformersJs } from '../proof/transformers-js.ts'
import { saveInto } from '../save-into.ts'
import { int4Block } from './constants.ts'
import type { ModelGraph } from './layers.ts'
import { modelGraphs } from './model-files.ts'
import type { Streamed } from './protobuf.ts'
import { loadRuntime, type OnnxRunner, runOnnx } from './run-onnx.ts'
import type { Constant } from './schema.ts'
import { formatOf, graphFormatOf, type OnnxFormat, writeOnnx } from './write-onnx.ts'

const read = ({ bytes, chunks }: Streamed): Uint8Array => {
  const all = new Uint8Array(bytes)
  let at = 0
  for (const chunk of chunks()) {
    all.set(chunk, at)
    at += chunk.length
  }
  return all
}

const floats = ({ type, data, shape }: Constant): Float32Array => {
  const { buffer } = read(data)
  if (type === 'float32') return new Float32Array(buffer)
  const half = Tensor.from(new Uint16Array(buffer), { shape: [...shape], dtype: 'float16' })
  const wide = half.to('float32').toFloat32Array()
  half.free()
  return wide
}

/** @param transposed the integers are [K,N], the parameter is [N,K] */
const fromInt8 = (codes: Int8Array, scales: Float32Array, [rows, width]: readonly number[], transposed: boolean) =>
  Float32Array.from({ length: codes.length }, (_, i) => {
    const row = Math.floor(i / width)
    const scale = scales[scales.length === 1 ? 0 : row]
    return scale * codes[transposed ? (i % width) * rows + row : i]
  })

/** Codes 0 to 15, of which 8 is zero, two a byte. */
const fromInt4 = (codes: Uint8Array, scales: Float32Array, [rows, width]: readonly number[]): Float32Array => {
  const blocks = Math.ceil(width / int4Block)
  return Float32Array.from({ length: rows * width }, (_, i) => {
    const [row, column] = [Math.floor(i / width), i % width]
    const at = row * blocks * int4Block + column
    const pair = codes[at >> 1]
    const block = row * blocks + Math.floor(column / int4Block)
    return scales[block] * ((at % 2 === 0 ? pair & 15 : pair >> 4) - 8)
  })
}

/** The elements of a parameter as the graph has them; undefined where they are not quantised. @param table of embeddings */
const storedElements = (
  constants: ReadonlyMap<string, Constant>,
  name: string,
  { shape, table }: { shape: readonly number[]; table: boolean },
): Float32Array | undefined => {
  const [int8, int4] = [constants.get(`${name}_quantized`), constants.get(`${name}_q4`)]
  const scales = constants.get(int8 === undefined ? `${name}_scales` : `${name}_scale`)
  if (scales === undefined) return undefined
  if (int8 !== undefined) {
    const codes = new Int8Array(read(int8.data).buffer)
    return fromInt8(codes, floats(scales), shape, !table)
  }
  return int4 === undefined ? undefined : fromInt4(read(int4.data), floats(scales), shape)
}

/**
 * The model with the quantised matrices of its graphs; the other parameters are those of the model itself.
 * @returns undefined for graphs without quantised matrices
 */
const storedModel = (model: Model, graphs: readonly ModelGraph[]): Model | undefined => {
  const constants = new Map(graphs.flatMap((graph) => graph.constants.map((one) => [one.name, one] as const)))
  const parameters = model.parameters()
  // Tables are stored as they are, the matrices of layers transposed.
  const tables = new Set([...model.modules()].flatMap(([, one]) => (one instanceof Embedding ? [one.weight] : [])))
  const stored = new Map(
    [...parameters].flatMap(([name, parameter]) => {
      const values = storedElements(constants, name, { shape: parameter.shape, table: tables.has(parameter) })
      return values === undefined ? [] : [[name, Tensor.from(values, { shape: [...parameter.shape] })] as const]
    }),
  )
  if (stored.size === 0) return undefined
  // In 4 bits a table that is the output matrix too is stored twice: in float for the embeddings, which are not quantised.
  const { embedTokens } = model.body
  const table = [...parameters].find(([, parameter]) => parameter === embedTokens.weight)?.[0] ?? ''
  const output = constants.has(`${table}_q4`) ? stored.get(table) : undefined
  if (output !== undefined) stored.delete(table)
  const other = buildModel(model.definition, model.config, model.headType, model.headOptions)
  other.loadState(new Map([...parameters].map(([name, parameter]) => [name, stored.get(name) ?? parameter])), {
    copy: false,
  })
  if (output !== undefined && other.head instanceof LanguageHead) other.head.lmHead.weight = output
  return other.eval()
}

/** Frees the matrices that `storedModel` made. */
const freeStored = (model: Model, other: Model): void => {
  const kept = new Set(model.parameters().values())
  for (const tensor of other.parameters().values()) if (!kept.has(tensor)) tensor.free()
}

/** Tolerances of a format. */
interface Limits {
  /** Logits, relative to the largest. */
  logits: number
  /** Divergence of the predictions, in nats. */
  kl?: number
  /** Error of a quantised matrix. */
  weights?: number
  /** Logits against those of the quantised weights in float32. */
  arithmetic?: number
}

const limits: Record<OnnxFormat, Limits> = {
  fp32: { logits: 1e-4 },
  fp16: { logits: 1e-2 },
  // Activations are rounded to 8 bits by their range in a text, which costs models with few and large ones the most.
  q8: { logits: 0.5, kl: 0.3, weights: 0.05, arithmetic: 0.5 },
  // As 4 bits of GGUF: SmolLM2-135M loses 0.6 nats on the built-in texts, 0.9 on a short one.
  q4: { logits: 0.8, kl: 1, weights: 0.15, arithmetic: 1e-3 },
  q4f16: { logits: 0.8, kl: 1, weights: 0.15, arithmetic: 2e-2 },
}

/** Compares quantised matrices, and what onnxruntime computes from them. */
const proveQuantised = async (
  source: ExportSource,
  runner: OnnxRunner,
  format: OnnxFormat,
  target: string,
  texts: readonly string[],
): Promise<ProofRow[]> => {
  const { weights, arithmetic } = limits[format]
  if (weights === undefined || arithmetic === undefined) return []
  const { model, tokenizer } = source
  const graphs = [...modelGraphs(model, graphFormatOf(format, source.operators)).values()].map((build) => build())
  const stored = storedModel(model, graphs)
  if (stored === undefined) return []
  const reference = runModel(stored, tokenizer.special.pad?.id)
  const comparison = { target, consumer: runner.consumer, limit: arithmetic }
  const [logits] = await compareLogits(source, runner, texts, comparison, { reference })
  const rows = [
    compareWeights(model, stored, { target, consumer: 'tunesmith' }, weights),
    { ...logits, check: 'logits against the quantised weights in float32' },
  ]
  freeStored(model, stored)
  return rows
}

/** Compares logits, batches, greedy tokens and the task's score in onnxruntime. */
const proveOnnx = async (
  source: ExportSource,
  variant: string,
  folder: string,
  { texts, validation, note }: ProofContext,
): Promise<ProofRow[]> => {
  const target = variant === '' ? 'onnx' : `onnx:${variant}`
  const inTransformersJs = await proveInTransformersJs(source, folder, texts, { target, note })
  const runtime = await loadRuntime(note)
  if (runtime === undefined) return inTransformersJs
  const format = formatOf(variant)
  const { model, tokenizer } = source
  const runner = await runOnnx(runtime, {
    model,
    folder,
    format,
    operators: source.operators,
    padId: tokenizer.special.pad?.id,
  })
  try {
    const { logits: limit, kl: klLimit, arithmetic: repeatLimit } = limits[format]
    const comparison = { target, consumer: runner.consumer, limit, klLimit, repeatLimit }
    return [
      ...(await proveQuantised(source, runner, format, target, texts)),
      ...(await compareRunner(source, runner, texts, comparison)),
      ...(await generateInTransformersJs(source, folder, texts, { target, dtype: format, limit, note })),
      ...(await compareScores(source, validation, runner, {
        target,
        consumer: runner.consumer,
        exact: limits[format].weights === undefined,
      })),
      ...inTransformersJs,
    ]
  } finally {
    await runner.release()
  }
}

/** Everything but weights: config.json, which a later format adds to, and the tokenizer. */
const writeBeside = async (source: ExportSource, folder: string): Promise<void> => {
  await saveInto(source.model, folder, {
    addFiles: async (target) => {
      await source.tokenizer.save(target)
    },
    weights: false,
  })
}

export const onnx: ExportTarget = {
  type: 'onnx',
  description: 'files for onnxruntime and transformers.js, in Node and in the browser',
  variants: ['fp16', 'q8', 'q4', 'q4f16'],
  defaultVariant: '',
  sharesFolder: true,
  comparesScores: true,
  pipelineLibrary: 'transformers.js',
  folder: 'onnx',
  quantises: (variant) => graphFormatOf(formatOf(variant)).matrices !== 'float',
  operators: ['plain', 'standard', 'grouped'],
  check: ({ model, operators }, variant) => {
    for (const build of modelGraphs(model, graphFormatOf(formatOf(variant), operators)).values()) build()
  },
  write: async (source, variant, folder, { onProgress, onHash, signal }) => {
    if (!(await exists(join(folder, 'config.json')))) await writeBeside(source, folder)
    const format = formatOf(variant)
    onProgress?.(`Writing ONNX in ${format}`)
    const { scalePerOutput, operators } = graphFormatOf(format, source.operators)
    await writeOnnx(source.model, folder, { format, scalePerOutput, operators, onHash, signal })
  },
  prove: proveOnnx,
}
