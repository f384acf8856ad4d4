// Runs an ONNX export in onnxruntime-node, where it is installed, and compares the logits with the model's own.
import { join } from 'node:path'
import { MultipleChoiceHead, Seq2SeqLmHead } from '../../models/index.ts'
import { noGrad, scope, Tensor } from '../../tensor/index.ts'
import type { ExportSource, ProofContext, ProofRow } from '../export-target.ts'
import { fileOf, formatOf, type OnnxFormat } from './write-onnx.ts'

/** Tolerances of logits relative to the largest; integers lose what the caller has to judge. */
const limits: Partial<Record<OnnxFormat, number>> = { fp32: 1e-4, fp16: 1e-2 }

/** Compares logits of texts. Models with several files or several rows a text are not run. */
export const proveOnnx = async (
  source: ExportSource,
  variant: string,
  folder: string,
  { texts, note }: ProofContext,
): Promise<ProofRow[]> => {
  const runtime = await import('onnxruntime-node').catch(() => undefined)
  if (runtime === undefined) {
    note('The ONNX files were not run: npm install onnxruntime-node')
    return []
  }
  const format = formatOf(variant)
  const { model } = source
  const unproved = (): ProofRow[] => {
    note(`The ONNX files were not compared: the head ${model.headType} is not run by the proof yet.`)
    return []
  }
  if (model.head instanceof Seq2SeqLmHead || model.head instanceof MultipleChoiceHead) return unproved()
  const session = await runtime.InferenceSession.create(join(folder, 'onnx', fileOf('model', format)))
  const output = ['logits', 'sentence_embedding'].find((name) => session.outputNames.includes(name))
  if (output === undefined) {
    await session.release()
    return unproved()
  }
  const whole = (values: readonly number[], shape: readonly number[]) =>
    new runtime.Tensor('int64', BigInt64Array.from(values, BigInt), shape)
  let [worst, scale] = [0, 0]
  for (const text of texts) {
    const ids = source.tokenizer.encode(text).ids.slice(0, Math.min(model.facts.maxPositions ?? 256, 256))
    const shape = [1, ids.length]
    const ones = ids.map(() => 1)
    const feeds = Object.fromEntries(
      session.inputMetadata.map((input) => {
        const rows = new Map([
          ['input_ids', ids],
          ['attention_mask', ones],
          ['token_type_ids', ids.map(() => 0)],
        ])
        if (input.name === 'num_logits_to_keep') return [input.name, whole([0], [])]
        const row = rows.get(input.name)
        if (row !== undefined) return [input.name, whole(row, shape)]
        const sizes = input.isTensor ? input.shape : []
        const dims = sizes.map((size) => (typeof size === 'number' ? size : size === 'batch_size' ? 1 : 0))
        return [input.name, new runtime.Tensor('float32', new Float32Array(0), dims)]
      }),
    )
    const outputs = await session.run(feeds)
    const got = outputs[output].data as Float32Array
    const long = (values: readonly number[]) => Tensor.from(BigInt64Array.from(values, BigInt), { shape })
    const wanted = noGrad(() =>
      scope(() => model.forward({ inputIds: long(ids), attentionMask: long(ones) }).logits.toFloat32Array()),
    )
    for (let i = 0; i < wanted.length; i++) {
      const gap = Math.abs(got[i] - wanted[i])
      if (!(gap <= worst)) worst = gap
      scale = Math.max(scale, Math.abs(wanted[i]))
    }
  }
  await session.release()
  const value = worst / Math.max(scale, 1e-6)
  const limit = limits[format]
  const target = variant === '' ? 'onnx' : `onnx:${variant}`
  return [{ target, consumer: 'onnxruntime-node', check: 'logits', value, limit, ok: value <= (limit ?? 1) }]
}
