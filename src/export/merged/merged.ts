// The target `merged`: a plain folder that transformers loads, without adapters. Matrices were merged in float32 and are cast
// to the folder's dtype once, here.
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadModelWithReport, loadTokenizer } from '../../checkpoint/index.ts'
import { exists } from '../../core/index.ts'
import { generationToHf } from '../../generation/index.ts'
import type { Dtype } from '../../tensor/index.ts'
import { renderChatFor } from '../../tokenizers/index.ts'
import { modelFiles } from '../../tracking/index.ts'
import type { ExportSource, ExportTarget } from '../export-target.ts'
import { compareRunner, freeModel, logitTolerance } from '../proof/compare-models.ts'
import { compareScores } from '../proof/compare-scores.ts'
import { compareTemplates, compareTokenizers } from '../proof/compare-tokenizers.ts'
import { runModel } from '../proof/runner.ts'
import { saveInto } from '../save-into.ts'

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

/** Tokens that transformers takes from config.json only where there is no generation_config.json: without an end it never stops. */
const roles = ['bos_token_id', 'eos_token_id', 'pad_token_id']

const writeGeneration = async ({ generation }: ExportSource, folder: string): Promise<void> => {
  const path = join(folder, 'generation_config.json')
  const fields = generationToHf(generation)
  if (Object.keys(fields).length === 0 || (await exists(path))) return
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>
  const tokens = Object.fromEntries(roles.flatMap((role) => (config[role] == null ? [] : [[role, config[role]]])))
  await writeFile(path, `${JSON.stringify({ ...tokens, ...fields }, null, 2)}\n`)
}

export const merged: ExportTarget = {
  type: 'merged',
  description: 'one folder for transformers, with every adapter merged into the weights',
  variants: Object.keys(dtypes),
  folder: 'merged',
  comparesScores: true,
  write: async (source, variant, folder, { onProgress, onHash }) => {
    onProgress?.(`Writing the merged folder in ${dtypeFor(source, variant)}`)
    await saveInto(source.model, folder, {
      dtype: dtypeFor(source, variant),
      onWritten: (name, { sha256 }) => onHash?.(join(folder, name), sha256),
      addFiles: async (target) => {
        await writeTokenizer(source, target)
        await writeGeneration(source, target)
      },
    })
  },
  prove: async (source, variant, folder, { texts, validation }) => {
    const target = variant === '' ? 'merged' : `merged:${variant}`
    const limit = logitTolerance[dtypeFor(source, variant)] ?? 0.1
    const comparison = { target, consumer: 'tunesmith', limit }
    const { model } = await loadModelWithReport(folder, {
      head: source.model.headType,
      dtype: 'float32',
      device: 'cpu',
    })
    const tokenizer = await loadTokenizer(folder)
    model.eval()
    try {
      return [
        ...(await compareRunner(source, runModel(model, tokenizer.special.pad?.id), texts, comparison)),
        ...(await compareScores(source, validation, model, { ...comparison, exact: true })),
        compareTokenizers(source, tokenizer, texts, comparison),
        ...(await compareTemplates(
          source,
          (messages) => renderChatFor(tokenizer, messages, { addGenerationPrompt: true }),
          comparison,
        )),
      ]
    } finally {
      freeModel(model)
    }
  },
}
