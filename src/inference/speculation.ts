// How the users of a model choose speculative decoding: prompt lookup, or a small model that drafts.
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import type { SpeculationOptions } from '../generation/index.ts'
import { continuesText, freeWeights } from '../models/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import { type InferenceModel, type LoadHooks, loadLanguageModel } from './load.ts'

/** Fields of settings and flags. */
export const speculationFields = {
  promptLookup: z
    .boolean()
    .default(false)
    .describe('speculative decoding: propose what followed the same tokens earlier in the prompt or text'),
  draftModel: z
    .string()
    .optional()
    .describe('speculative decoding: small model with the same vocabulary that proposes tokens'),
  draftTokens: z
    .int()
    .positive()
    .optional()
    .describe('maximum number of tokens that are proposed at once (default: 8)'),
}

/** Settings of speculative decoding. */
export type SpeculationSettings = Partial<z.output<z.ZodObject<typeof speculationFields>>>

/** Speculative decoding for a scheduler; call `close` after it. */
export interface OpenedSpeculation {
  options: SpeculationOptions
  /** Frees the draft model. */
  close(): void
}

/** @throws ConfigError for tokenizers that give a token different ids */
const expectSameVocabulary = (tokenizer: Tokenizer, draft: Tokenizer, name: string): void => {
  for (let id = 0; id <= Math.min(tokenizer.maxId, draft.maxId); id++)
    if (tokenizer.idToToken(id) !== draft.idToToken(id))
      throw new ConfigError(
        `Expected a draft model with the vocabulary of the model for \`draftModel\`, got another one in ${name}: their tokens ${id} differ. Choose a smaller model of the same family.`,
      )
}

/**
 * Opens what proposes tokens for a model; undefined where the settings want no speculation.
 * @throws ConfigError for settings that exclude each other or have no effect, and for a draft with another vocabulary
 */
export const openSpeculation = async (
  { model, tokenizer }: InferenceModel,
  { promptLookup = false, draftModel, draftTokens }: SpeculationSettings,
  { device, dtype, ...hooks }: { device?: string; dtype?: 'float32' | 'bfloat16' } & LoadHooks = {},
): Promise<OpenedSpeculation | undefined> => {
  if (promptLookup && draftModel !== undefined)
    throw new ConfigError('Expected either `promptLookup` or `draftModel`, got both. Choose one.')
  if (!promptLookup && draftModel === undefined) {
    if (draftTokens === undefined) return undefined
    throw new ConfigError('`draftTokens` has no effect without `promptLookup` or `draftModel`: set one of them.')
  }
  if (!continuesText(model))
    throw new ConfigError(
      `Speculative decoding needs a model that continues texts, with the head causal-lm: this one has the head ${model.headType}. Remove \`promptLookup\` and \`draftModel\`.`,
    )
  const options: SpeculationOptions = draftTokens === undefined ? {} : { maxDraftTokens: draftTokens }
  if (draftModel === undefined) return { options, close: () => undefined }
  const draft = await loadLanguageModel({ model: draftModel, device }, { dtype, ...hooks })
  const close = () => freeWeights(draft.model)
  try {
    expectSameVocabulary(tokenizer, draft.tokenizer, draftModel)
    if (!draft.model.facts.causal)
      throw new ConfigError(`Expected a decoder for \`draftModel\`, got an encoder in ${draftModel}. Choose another.`)
  } catch (error) {
    close()
    throw error
  }
  return { options: { ...options, draft: draft.model }, close }
}
