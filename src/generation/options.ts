// What a user can ask of generation: the schema, its relation to generation_config.json, and the checks between settings.
import { z } from 'zod'
import { ConfigError, parseConfig } from '../core/index.ts'

const id = z.int().nonnegative()

export const generationSchema = z.strictObject({
  maxNewTokens: z.int().positive().default(128).describe('tokens to add at most'),
  minNewTokens: z.int().nonnegative().default(0).describe('tokens before which no end is allowed'),
  eosTokenIds: z
    .union([id, z.array(id)])
    .transform((value) => (typeof value === 'number' ? [value] : value))
    .optional()
    .describe('ids that end a text; the tokenizer’s end token unless given'),
  padTokenId: id.optional().describe('id that fills short rows of a batch; never seen by the model'),
  decoderStartTokenId: id.optional().describe('id that decoding starts from, where the model has an encoder'),
  stop: z
    .union([z.string().min(1), z.array(z.string().min(1))])
    .transform((value) => (typeof value === 'string' ? [value] : value))
    .default([])
    .describe('strings that end a text; cut off together with what follows'),
  sample: z.boolean().default(false).describe('draw tokens instead of taking the likeliest'),
  temperature: z.number().positive().default(1).describe('divides the logits before drawing'),
  topK: z.int().nonnegative().default(0).describe('draw from this many likeliest tokens only; 0 is all'),
  topP: z.number().positive().max(1).default(1).describe('draw from the likeliest tokens that together reach this'),
  minP: z.number().min(0).max(1).default(0).describe('draw from tokens at least this likely relative to the likeliest'),
  repetitionPenalty: z.number().positive().default(1).describe('above 1 makes tokens of prompt and text less likely'),
  noRepeatNgramSize: z.int().nonnegative().default(0).describe('no run of this many tokens comes twice; 0 is off'),
  badTokenIds: z.array(id).default([]).describe('ids that never come'),
  forcedFirstTokenId: id.optional().describe('id that every text begins with'),
  numBeams: z.int().positive().default(1).describe('texts followed side by side in beam search; 1 is no search'),
  lengthPenalty: z.number().default(1).describe('beam scores are divided by length to this power'),
  earlyStopping: z
    .union([z.boolean(), z.literal('never')])
    .default(false)
    .describe(
      'beam search ends with numBeams finished texts (true), when better ones are unlikely (false) or impossible (never)',
    ),
  numReturnSequences: z.int().positive().default(1).describe('texts returned for each prompt'),
  seed: z
    .union([z.int(), z.array(z.int())])
    .optional()
    .describe('of the draws; one number, or one for each prompt'),
  useCache: z
    .boolean()
    .default(true)
    .describe('keep keys and values of earlier tokens instead of computing them again'),
})

/** What a caller may write. */
export type GenerationOptions = z.input<typeof generationSchema>
/** With all defaults. */
export type GenerationSettings = z.output<typeof generationSchema>

const samplingOnly = ['temperature', 'topK', 'topP', 'minP', 'seed'] as const
const beamsOnly = ['lengthPenalty', 'earlyStopping'] as const

/** Checks options and fills in defaults. @throws ConfigError that lists every fault, settings without effect included. */
export const parseGeneration = (given: GenerationOptions = {}): GenerationSettings => {
  const settings = parseConfig(generationSchema, given, 'generation')
  const faults: string[] = []
  const defaults = generationSchema.parse({}) as Record<string, unknown>
  const idle = (keys: readonly string[], condition: string) => {
    for (const key of keys)
      if ((settings as Record<string, unknown>)[key] !== defaults[key])
        faults.push(`Expected no \`${key}\` for \`generation\` without ${condition}, got one. Set both or neither.`)
  }
  if (!settings.sample) idle(samplingOnly, '`sample`')
  if (settings.numBeams === 1) idle(beamsOnly, '`numBeams` above 1')
  if (settings.sample && settings.numBeams > 1)
    faults.push('Expected `sample` or `numBeams` for `generation`, got both. Choose one.')
  if (settings.numReturnSequences > 1 && !settings.sample && settings.numReturnSequences > settings.numBeams)
    faults.push(
      `Expected at most ${settings.numBeams} for \`numReturnSequences\`, got ${settings.numReturnSequences}. Set \`sample\`, or more \`numBeams\`.`,
    )
  if (settings.minNewTokens > settings.maxNewTokens)
    faults.push(
      `Expected at most maxNewTokens ${settings.maxNewTokens} for \`minNewTokens\`, got ${settings.minNewTokens}.`,
    )
  if (faults.length > 0) throw new ConfigError(faults)
  return settings
}

/** Our names by those of generation_config.json. */
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
  suppress_tokens: 'badTokenIds',
  forced_bos_token_id: 'forcedFirstTokenId',
  num_beams: 'numBeams',
  length_penalty: 'lengthPenalty',
  early_stopping: 'earlyStopping',
  num_return_sequences: 'numReturnSequences',
  use_cache: 'useCache',
} as const satisfies Record<string, keyof GenerationOptions>

const without = (options: GenerationOptions, keys: readonly string[]): GenerationOptions =>
  Object.fromEntries(Object.entries(options).filter(([key]) => !keys.includes(key)))

/** Leaves out what has no effect: files often carry sampling settings beside `do_sample: false`. */
const effective = (options: GenerationOptions): GenerationOptions => {
  const kept = options.sample ? options : without(options, samplingOnly)
  return (kept.numBeams ?? 1) > 1 ? kept : without(kept, beamsOnly)
}

/** Reads the fields of generation_config.json that we know; others are passed over. */
export const generationFromHf = (fields: Record<string, unknown>): GenerationOptions => {
  const known = Object.entries(hfNames).flatMap(([theirs, ours]) => {
    const value = fields[theirs]
    return value === undefined || value === null ? [] : [[ours, value]]
  })
  const options = effective(Object.fromEntries(known) as GenerationOptions)
  // Files mean "all" by 1 beside top_p and by 0 beside top_k, as we do; a temperature of 0 means no draw.
  if (options.temperature === 0) return without({ ...options, sample: false }, samplingOnly)
  parseGeneration(options)
  return options
}

/** The fields of generation_config.json that say the same. */
export const generationToHf = (options: GenerationOptions): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(hfNames).flatMap(([theirs, ours]) => (options[ours] === undefined ? [] : [[theirs, options[ours]]])),
  )

/** A model's defaults under a caller's options; defaults that lose their meaning by them fall away. */
export const withDefaults = (defaults: GenerationOptions, given: GenerationOptions): GenerationOptions => {
  const merged = {
    ...defaults,
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  }
  const lost = effective(merged)
  // What the caller wrote stays, so that a setting of theirs without effect is still an error.
  return { ...lost, ...given }
}
