// The settings of language-modelling evaluation, and which of them causal and masked models use.
import { z } from 'zod'
import { ConfigError, parseConfig } from '../../core/index.ts'
import type { BodyFacts } from '../../models/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { bootstrapFields } from '../metrics/bootstrap.ts'

const count = z.number().int().positive()
const share = z.number().min(0).max(1)

/** Settings of `evaluateLanguageModelling`. */
export const languageModellingSchema = z.strictObject({
  maxLength: count
    .optional()
    .describe('maximum tokens of context (default: the limits of the model and its tokenizer, up to 1024)'),
  stride: count
    .optional()
    .describe(
      'causal models: tokens that each sliding window scores, the rest is context (default: half of maxLength)',
    ),
  startToken: z
    .boolean()
    .optional()
    .describe(
      'causal models: begin each document with the start token (or end-of-text), so that its first token is scored too (default: true)',
    ),
  maskShare: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe('masked models: share of the tokens that are predicted (default: 0.15)'),
  replaceWithMask: share
    .optional()
    .describe('masked models: share of the predicted tokens that are replaced by the mask token (default: 0.8)'),
  replaceWithRandom: share
    .optional()
    .describe('masked models: share of the predicted tokens that are replaced by a random token (default: 0.1)'),
  pseudoTokens: z
    .number()
    .int()
    .min(0)
    .optional()
    .describe('masked models: tokens of the pseudo-perplexity, each masked in a forward pass of its own (default: 0)'),
  maxTokens: count.optional().describe('maximum number of tokens, from documents in random order (default: all)'),
  bytes: count
    .optional()
    .describe('UTF-8 bytes of the whole source, for bits per byte (default: counted from the decoded tokens)'),
  batchTokens: count.default(8192).describe('tokens per batch'),
  ...bootstrapFields,
  seed: z.union([z.number().int(), z.string()]).default(0).describe('seed of masks, document order and bootstrap'),
})

/** Settings of `evaluateLanguageModelling`, as given. */
export type LanguageModellingSettings = z.input<typeof languageModellingSchema>
export type CheckedSettings = Omit<z.output<typeof languageModellingSchema>, 'maxLength'> & { maxLength: number }

const forCausal = ['stride', 'startToken'] as const
const forMasked = ['maskShare', 'replaceWithMask', 'replaceWithRandom', 'pseudoTokens'] as const

/** @throws ConfigError for settings that are wrong, that do not fit the model, or that would have no effect. */
export const checkSettings = (
  input: LanguageModellingSettings,
  facts: BodyFacts,
  tokenizer: Tokenizer,
): CheckedSettings => {
  const settings = parseConfig(languageModellingSchema, input, 'language-modelling')
  const { causal, maxPositions } = facts
  const faults = (causal ? forMasked : forCausal)
    .filter((name) => settings[name] !== undefined)
    .map(
      (name) =>
        `Expected no \`${name}\` for a ${causal ? 'causal' : 'masked'} model, got ${String(settings[name])}, which would have no effect. Remove it.`,
    )
  const maxLength = settings.maxLength ?? defaultLength(facts, tokenizer)
  if (maxPositions !== undefined && maxLength > maxPositions)
    faults.push(
      `Expected at most ${maxPositions} for \`maxLength\`, the positions of the model, got ${maxLength}. Lower it.`,
    )
  if ((settings.stride ?? 1) > maxLength)
    faults.push(`Expected at most \`maxLength\` ${maxLength} for \`stride\`, got ${settings.stride}.`)
  const least = causal ? 1 : 3
  if (maxLength < least) faults.push(`Expected at least ${least} for \`maxLength\`, got ${maxLength}.`)
  faults.push(...vocabularyFaults(facts, tokenizer))
  if (faults.length > 0) throw new ConfigError(faults)
  return { ...settings, maxLength }
}

/** The limits of the model and its tokenizer, up to 1024. */
export const defaultLength = ({ maxPositions }: BodyFacts, { maxLength }: Tokenizer): number =>
  Math.min(maxPositions ?? 1024, maxLength ?? 1024, 1024)

export const vocabularyFaults = ({ vocabSize, causal }: BodyFacts, tokenizer: Tokenizer): string[] => {
  const faults: string[] = []
  if (tokenizer.maxId >= vocabSize)
    faults.push(
      `Expected a tokenizer with ids below the model's vocabulary of ${vocabSize}, got ids up to ${tokenizer.maxId}. Use the tokenizer that the model was trained with.`,
    )
  if (!causal && tokenizer.special.mask === undefined)
    faults.push('Expected a tokenizer with a mask token for a masked model, got none.')
  return faults
}
