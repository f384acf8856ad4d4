// The target `merged`: a plain folder that transformers loads, without adapters. Matrices were merged in float32 and are cast
// to the folder's dtype once, here.
import { cp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadModelWithReport, saveModel } from '../../checkpoint/index.ts'
import { exists } from '../../core/index.ts'
import { generationToHf } from '../../generation/index.ts'
import type { Model } from '../../models/index.ts'
import type { Dtype } from '../../tensor/index.ts'
import { modelFiles } from '../../tracking/index.ts'
import type { ExportSource, ExportTarget } from '../export-target.ts'
import { compareModels, logitTolerance } from '../proof/compare-models.ts'

const dtypes: Record<string, Dtype> = { fp32: 'float32', fp16: 'float16', bf16: 'bfloat16' }

const dtypeFor = (source: ExportSource, variant: string): Dtype => dtypes[variant] ?? source.dtype

/** Files of a specialist that are true of the merged model too. */
const kept = [modelFiles.task, 'chat_template.jinja']

const writeTokenizer = async (source: ExportSource, folder: string): Promise<void> => {
  await source.tokenizer.save(folder)
  if (source.folder === undefined) return
  for (const name of kept)
    if (await exists(join(source.folder, name))) await cp(join(source.folder, name), join(folder, name))
}

const writeGeneration = async ({ generation }: ExportSource, folder: string): Promise<void> => {
  const path = join(folder, 'generation_config.json')
  if (Object.keys(generation).length === 0 || (await exists(path))) return
  await writeFile(path, `${JSON.stringify(generationToHf(generation), null, 2)}\n`)
}

export const merged: ExportTarget = {
  type: 'merged',
  description: 'one folder for transformers, with every adapter merged into the weights',
  variants: Object.keys(dtypes),
  folder: 'merged',
  write: async (source, variant, folder, { onProgress }) => {
    onProgress?.(`Writing the merged folder in ${dtypeFor(source, variant)}`)
    // saveModel writes a whole folder: its files are moved from one beside the others.
    const written = join(folder, '.model')
    await saveModel(source.model, written, {
      dtype: dtypeFor(source, variant),
      addFiles: async (target) => {
        await writeTokenizer(source, target)
        await writeGeneration(source, target)
      },
    })
    await cp(written, folder, { recursive: true })
    await rm(written, { recursive: true, force: true })
  },
  prove: async (source, variant, folder, { texts }) => {
    const target = variant === '' ? 'merged' : `merged:${variant}`
    const dtype = dtypeFor(source, variant)
    const { model } = await loadModelWithReport(folder, { head: source.model.headType, dtype: 'float32' })
    const rows = compareModels(source, model.eval(), texts, {
      target,
      consumer: 'tunesmith',
      limit: logitTolerance[dtype] ?? 0.1,
    })
    freeModel(model)
    return rows
  },
}

const freeModel = (model: Model): void => {
  for (const tensor of new Set(model.parameters().values())) tensor.free()
}
