// The settings of language-modelling evaluation, and which of them a kind of model can use.
import { z } from 'zod'
import { ConfigError, parseConfig } from '../../core/index.ts'
import type { BodyFacts } from '../../models/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'

const count = z.number().int().positive()
const share = z.number().min(0).max(1)

export const languageModellingSchema = z.strictObject({
  maxLength: count
    .optional()
    .describe('most tokens that the model sees at once; what it and its tokenizer take, up to 1024, unless given'),
  stride: count
    .optional()
    .describe(
      'causal models: tokens that a window scores after the first one, with the rest as context; half of maxLength unless given',
    ),
  startToken: z
    .boolean()
    .optional()
    .describe(
      'causal models: put the start token (or end-of-text) before each document, so that its first token is scored too; true unless given',
    ),
  maskShare: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe('masked models: share of the tokens that are predicted; 0.15 unless given'),
  replaceWithMask: share
    .optional()
    .describe('masked models: share of the predicted tokens that become the mask; 0.8 unless given'),
  replaceWithRandom: share
    .optional()
    .describe('masked models: share of the predicted tokens that become a random token; 0.1 unless given'),
  pseudoTokens: z
    .number()
    .int()
    .min(0)
    .optional()
    .describe(
      'masked models: tokens that are hidden one at a time for the pseudo-perplexity, which takes a pass for each; 0 unless given',
    ),
  maxTokens: count
    .optional()
    .describe('tokens to evaluate, of documents in an order drawn from the seed; all unless given'),
  bytes: count
    .optional()
    .describe('UTF-8 bytes of the whole source, where it is known better than from decoded tokens'),
  batchTokens: count.default(8192).describe('tokens in a batch'),
  seed: z.union([z.number().int(), z.string()]).default(0).describe('for masks, order and intervals'),
  resamples: count.default(1000).describe('draws of the bootstrap behind the intervals'),
  confidence: z.number().gt(0).lt(1).default(0.95).describe('of the intervals'),
})

export type LanguageModellingSettings = z.input<typeof languageModellingSchema>
export type CheckedSettings = Omit<z.output<typeof languageModellingSchema>, 'maxLength'> & { maxLength: number }

const forCausal = ['stride', 'startToken'] as const
const forMasked = ['maskShare', 'replaceWithMask', 'replaceWithRandom', 'pseudoTokens'] as const

/** @throws ConfigError for settings that are wrong, that do not fit the model, or that would have no effect. */
export function checkSettings(
  input: LanguageModellingSettings,
  facts: BodyFacts,
  tokenizer: Tokenizer,
): CheckedSettings {
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
      `Expected at most ${maxPositions} for \`maxLength\`, which the model has positions for, got ${maxLength}.`,
    )
  if ((settings.stride ?? 1) > maxLength)
    faults.push(`Expected at most \`maxLength\` ${maxLength} for \`stride\`, got ${settings.stride}.`)
  const least = causal ? 1 : 3
  if (maxLength < least) faults.push(`Expected at least ${least} for \`maxLength\`, got ${maxLength}.`)
  faults.push(...vocabularyFaults(facts, tokenizer))
  if (faults.length > 0) throw new ConfigError(faults)
  return { ...settings, maxLength }
}

/** What the model and its tokenizer take, up to 1024. */
export const defaultLength = ({ maxPositions }: BodyFacts, { maxLength }: Tokenizer): number =>
  Math.min(maxPositions ?? 1024, maxLength ?? 1024, 1024)

export function vocabularyFaults({ vocabSize, causal }: BodyFacts, tokenizer: Tokenizer): string[] {
  const faults: string[] = []
  if (tokenizer.maxId >= vocabSize)
    faults.push(
      `Expected a tokenizer with ids below the model's vocabulary of ${vocabSize}, got ids up to ${tokenizer.maxId}. Use the tokenizer that the model was trained with.`,
    )
  if (!causal && tokenizer.special.mask === undefined)
    faults.push('Expected a tokenizer with a mask token for a masked model, got none.')
  return faults
}
