// Generation settings that a model's own files recommend (generation_config.json and config.json).
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createLogger } from '../core/index.ts'
import { type GenerationOptions, generationFromHf } from '../generation/index.ts'
import type { InferenceModel } from './load.ts'

/** Fields of generation_config.json that change the text in transformers and have no counterpart here, with the value that does nothing. */
const unserved: Readonly<Record<string, unknown>> = {
  forced_eos_token_id: null,
  bad_words_ids: null,
  begin_suppress_tokens: null,
  sequence_bias: null,
  exponential_decay_length_penalty: null,
  encoder_repetition_penalty: 1,
  encoder_no_repeat_ngram_size: 0,
  typical_p: 1,
  epsilon_cutoff: 0,
  eta_cutoff: 0,
  guidance_scale: 1,
  diversity_penalty: 0,
  penalty_alpha: null,
}
const warned = new Set<string>()

/** Names of fields that would change the text in transformers, and do not here. */
export const unservedFields = (fields: Record<string, unknown>): string[] =>
  Object.entries(unserved).flatMap(([name, neutral]) =>
    (fields[name] ?? null) === null || fields[name] === neutral ? [] : [name],
  )

/** Says once for a folder which of its settings are not followed: the text would differ from that of transformers without a word. */
const warnOfUnserved = (folder: string, file: string, fields: Record<string, unknown>): void => {
  const names = unservedFields(fields)
  if (names.length === 0 || warned.has(folder)) return
  warned.add(folder)
  createLogger('generation').warn(
    `${join(folder, file)}: ${names.join(', ')} ${names.length === 1 ? 'has' : 'have'} no effect here: texts may differ from those of transformers.`,
  )
}

/** Lengths of a decoder's tokens, of which the start token is one, as numbers of new tokens where the file has none. */
const lengthsOf = ({
  max_length: most,
  min_length: least,
  max_new_tokens,
  min_new_tokens,
}: Record<string, unknown>): Record<string, unknown> => ({
  max_new_tokens: max_new_tokens ?? (typeof most === 'number' && most > 1 ? most - 1 : undefined),
  min_new_tokens: min_new_tokens ?? (typeof least === 'number' && least > 1 ? least - 1 : undefined),
})

/** The fields of a file; undefined without a file of JSON fields. */
const readFields = async (folder: string, name: string): Promise<Record<string, unknown> | undefined> => {
  const text = await readFile(join(folder, name), 'utf8').catch(() => '')
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** The generation settings in a model's folder; empty when it has none. */
export const generationDefaults = async ({
  folder,
  model,
}: Pick<InferenceModel, 'folder' | 'model'>): Promise<GenerationOptions> => {
  if (folder === undefined) return {}
  const all = (await readFields(folder, 'config.json')) ?? {}
  const file = 'generation_config.json'
  const written = await readFields(folder, file)
  // Older models, of summarisation above all, have every setting in config.json; the decoder's start token is there in others too. The ends
  // of texts are those of the tokenizer then.
  const { eos_token_id: _end, pad_token_id: _padding, ...settings } = all
  const own = written ?? settings
  warnOfUnserved(folder, written === undefined ? 'config.json' : file, own)
  const { causal } = model.facts
  const fields = {
    decoder_start_token_id: all.decoder_start_token_id,
    ...own,
    ...(causal ? {} : lengthsOf(own)),
  }
  const { decoderStartTokenId, ...options } = generationFromHf(fields)
  return causal ? options : { ...options, decoderStartTokenId }
}
