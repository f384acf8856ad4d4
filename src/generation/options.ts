// Generation options: the schema, the checks between options, and the mapping from and to generation_config.json.
import { z } from 'zod'
import { ConfigError, parseConfig, withoutUndefined } from '../core/index.ts'

const id = z.int().nonnegative()

/** Generation options; flags, help and types derive from it. */
export const generationSchema = z.strictObject({
  maxNewTokens: z.int().positive().default(128).describe('maximum number of tokens to generate'),
  minNewTokens: z.int().nonnegative().default(0).describe('minimum number of tokens to generate before an end token'),
  eosTokenIds: z
    .union([id, z.array(id)])
    .transform((value) => (typeof value === 'number' ? [value] : value))
    .optional()
    .describe('token ids that end a text (default: the end token of the tokenizer)'),
  padTokenId: id.optional().describe('token id for padding short prompts of a batch; masked out'),
  decoderStartTokenId: id.optional().describe('first decoder token of an encoder-decoder (default: as in config.json)'),
  stop: z
    .union([z.string().min(1), z.array(z.string().min(1))])
    .transform((value) => (typeof value === 'string' ? [value] : value))
    .default([])
    .describe('stop strings; the text is truncated before the first of them'),
  sample: z.boolean().default(false).describe('sample tokens at random instead of taking the most likely one (greedy)'),
  temperature: z
    .number()
    .nonnegative()
    .default(1)
    .describe('sampling temperature; below 1 makes texts more predictable, 0 is greedy decoding'),
  topK: z.int().nonnegative().default(0).describe('sample from the k most likely tokens only (0: all)'),
  topP: z
    .number()
    .positive()
    .max(1)
    .default(1)
    .describe('nucleus sampling: sample from the most likely tokens whose probabilities sum to this'),
  minP: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('sample from tokens at least this likely relative to the most likely one'),
  repetitionPenalty: z
    .number()
    .positive()
    .default(1)
    .describe('penalty for tokens that already occur in prompt or text (1: none)'),
  noRepeatNgramSize: z.int().nonnegative().default(0).describe('size of n-grams that may not repeat (0: off)'),
  suppressTokenIds: z.array(id).default([]).describe('token ids that are never generated'),
  forcedBosTokenId: id
    .optional()
    .describe('first generated token id, such as the language code of a translation model'),
  numBeams: z.int().positive().default(1).describe('beams of beam search (1: no beam search)'),
  lengthPenalty: z
    .number()
    .default(1)
    .describe('exponent of the length that beam scores are divided by; above 0 prefers longer texts'),
  earlyStopping: z
    .union([z.boolean(), z.literal('never')])
    .default(false)
    .describe(
      'end of beam search: with numBeams finished texts (true), when better ones are unlikely (false) or impossible (never)',
    ),
  numReturnSequences: z.int().positive().default(1).describe('texts to return for each prompt'),
  seed: z
    .union([z.int(), z.array(z.int())])
    .optional()
    .describe('random seed of sampling: one number, or one for each prompt'),
  useCache: z
    .boolean()
    .default(true)
    .describe('keep keys and values of earlier tokens (KV cache) instead of computing them again'),
})

/** Generation options as a caller writes them. */
export type GenerationOptions = z.input<typeof generationSchema>
/** Checked generation options with all defaults. */
export type GenerationSettings = z.output<typeof generationSchema>

const filters = ['topK', 'topP', 'minP', 'seed'] as const
const samplingOnly = ['temperature', ...filters] as const
const beamsOnly = ['lengthPenalty', 'earlyStopping'] as const

/**
 * Checks options and fills in defaults. A temperature of 0 is greedy decoding: `sample` is false then, and `temperature` its default.
 * @throws ConfigError that lists every fault, including options without effect
 */
export const parseGeneration = (given: GenerationOptions = {}): GenerationSettings => {
  const parsed = parseConfig(generationSchema, given, 'generation')
  const isCold = parsed.temperature === 0
  const settings: GenerationSettings = isCold ? { ...parsed, sample: false, temperature: 1 } : parsed
  const faults: string[] = []
  const defaults = generationSchema.parse({}) as Record<string, unknown>
  const refuseUnused = (keys: readonly string[], reason: string) => {
    for (const key of keys)
      if ((settings as Record<string, unknown>)[key] !== defaults[key])
        faults.push(`\`${key}\` has no effect ${reason}.`)
  }
  if (isCold) refuseUnused(filters, 'with a `temperature` of 0, which is greedy decoding: remove one of them')
  else if (!settings.sample) refuseUnused(samplingOnly, 'without `sample`: set both or neither')
  if (settings.numBeams === 1) refuseUnused(beamsOnly, 'without `numBeams` above 1: set both or neither')
  if (settings.sample && settings.numBeams > 1)
    faults.push('Expected either `sample` or `numBeams`, got both. Choose one.')
  if (settings.numReturnSequences > 1 && !settings.sample && settings.numReturnSequences > settings.numBeams)
    faults.push(
      `Expected at most ${settings.numBeams} for \`numReturnSequences\`, got ${settings.numReturnSequences}. ${isCold ? 'Raise `temperature` above 0' : 'Set `sample`'}, or raise \`numBeams\`.`,
    )
  if (settings.minNewTokens > settings.maxNewTokens)
    faults.push(
      `Expected at most \`maxNewTokens\` (${settings.maxNewTokens}) for \`minNewTokens\`, got ${settings.minNewTokens}.`,
    )
  if (faults.length > 0) throw new ConfigError(faults)
  return settings
}

/** Option names by the names in generation_config.json. */
const hfNames = {
  max_new_tokens: 'maxNewTokens',
  min_new_tokens: 'minNewTokens',
  eos_token_id: 'eosTokenIds',
  pad_token_id: 'padTokenId',
  decoder_start_token_id: 'decoderStartTokenId',
  stop_strings: 'stop',
  do_sample: 'sample',
  temperature: 'temperature',
  top_k: 'topK',
  top_p: 'topP',
  min_p: 'minP',
  repetition_penalty: 'repetitionPenalty',
  no_repeat_ngram_size: 'noRepeatNgramSize',
  suppress_tokens: 'suppressTokenIds',
  forced_bos_token_id: 'forcedBosTokenId',
  num_beams: 'numBeams',
  length_penalty: 'lengthPenalty',
  early_stopping: 'earlyStopping',
  num_return_sequences: 'numReturnSequences',
  use_cache: 'useCache',
} as const satisfies Record<string, keyof GenerationOptions>

const without = (options: GenerationOptions, keys: readonly string[]): GenerationOptions =>
  Object.fromEntries(Object.entries(options).filter(([key]) => !keys.includes(key)))

/** Drops options without effect: files often have sampling options beside `do_sample: false`. */
const effective = (options: GenerationOptions): GenerationOptions => {
  const isCold = options.sample === true && options.temperature === 0
  const decoded = isCold ? { ...options, sample: false } : options
  const kept = decoded.sample ? decoded : without(decoded, samplingOnly)
  return (kept.numBeams ?? 1) > 1 ? kept : without(kept, beamsOnly)
}

/** Generation options from the fields of generation_config.json; unknown fields are ignored. @throws ConfigError */
export const generationFromHf = (fields: Record<string, unknown>): GenerationOptions => {
  const known = Object.entries(hfNames).flatMap(([theirs, ours]) => {
    const value = fields[theirs]
    return value === undefined || value === null ? [] : [[ours, value]]
  })
  const options = effective(Object.fromEntries(known) as GenerationOptions)
  parseGeneration(options)
  return options
}

/** Fields of generation_config.json for these options. */
export const generationToHf = (options: GenerationOptions): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(hfNames).flatMap(([theirs, ours]) => (options[ours] === undefined ? [] : [[theirs, options[ours]]])),
  )

/** A caller's options over a model's defaults; defaults that have no effect beside them are dropped. */
export const withDefaults = (defaults: GenerationOptions, given: GenerationOptions): GenerationOptions => {
  const isTooLong = (defaults.minNewTokens ?? 0) > (given.maxNewTokens ?? Number.POSITIVE_INFINITY)
  const merged = {
    ...(isTooLong ? without(defaults, ['minNewTokens']) : defaults),
    ...withoutUndefined(given),
  }
  // The caller's own options stay, so that one without effect is still an error.
  return { ...effective(merged), ...withoutUndefined(given) }
}

/** The options with further tokens and strings that end a text. */
export const withEnds = (
  options: GenerationOptions,
  { ids, stop = [] }: { ids: readonly number[]; stop?: readonly string[] },
): GenerationOptions => ({
  ...options,
  eosTokenIds: [...new Set([...[options.eosTokenIds ?? []].flat(), ...ids])],
  stop: [...new Set([...[options.stop ?? []].flat(), ...stop])],
})
