// What the folder of a model says of generation. Knows no command.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type GenerationOptions, generationFromHf } from '../../generation/index.ts'
import type { ReadyModel } from './open-model.ts'

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

/** The token that decoding starts from stands in config.json of older models. */
export const generationDefaults = async ({
  folder,
  model,
}: Pick<ReadyModel, 'folder' | 'model'>): Promise<GenerationOptions> => {
  const { decoder_start_token_id: start } = await readFields(folder, 'config.json')
  const fields = { decoder_start_token_id: start, ...(await readFields(folder, 'generation_config.json')) }
  const { decoderStartTokenId, ...options } = generationFromHf(fields)
  return model.facts.causal ? options : { ...options, decoderStartTokenId }
}
