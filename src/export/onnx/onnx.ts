// The target `onnx`: a folder that transformers.js and onnxruntime open, with several formats beside each other.
import { join } from 'node:path'
import { exists } from '../../core/index.ts'
import type { ExportSource, ExportTarget } from '../export-target.ts'
import { saveInto } from '../save-into.ts'
import { modelGraphs } from './model-files.ts'
import { proveOnnx } from './prove-onnx.ts'
import { formatOf, graphFormatOf, writeOnnx } from './write-onnx.ts'

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
