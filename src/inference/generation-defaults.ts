// Generation settings that a model's own files recommend (generation_config.json and config.json).
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type GenerationOptions, generationFromHf } from '../generation/index.ts'
import type { InferenceModel } from './load.ts'

const readFields = async (folder: string | undefined, name: string): Promise<Record<string, unknown>> => {
  if (folder === undefined) return {}
  const text = await readFile(join(folder, name), 'utf8').catch(() => '{}')
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** The generation settings in a model's folder; empty when it has none. */
export const generationDefaults = async ({
  folder,
  model,
}: Pick<InferenceModel, 'folder' | 'model'>): Promise<GenerationOptions> => {
  // Older models keep the decoder's start token in config.json.
  const { decoder_start_token_id: start } = await readFields(folder, 'config.json')
  const fields = { decoder_start_token_id: start, ...(await readFields(folder, 'generation_config.json')) }
  const { decoderStartTokenId, ...options } = generationFromHf(fields)
  return model.facts.causal ? options : { ...options, decoderStartTokenId }
}
