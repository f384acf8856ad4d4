// Runs an ONNX export in onnxruntime-node, and generates and encodes in transformers.js, where they are installed.
import type { ExportSource, ProofContext, ProofRow } from '../export-target.ts'
import { compareLogits, compareRunner } from '../proof/compare-models.ts'
import { compareScores } from '../proof/compare-scores.ts'
import { compareWeights } from '../proof/compare-weights.ts'
import { runModel } from '../proof/runner.ts'
import { generateInTransformersJs, proveInTransformersJs } from '../proof/transformers-js.ts'
import { modelGraphs } from './model-files.ts'
import { loadRuntime, type OnnxRunner, runOnnx } from './run-onnx.ts'
import { freeStored, storedModel } from './stored-matrices.ts'
import { formatOf, graphFormatOf, type OnnxFormat } from './write-onnx.ts'

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
export const proveOnnx = async (
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
