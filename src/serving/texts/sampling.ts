// OpenAI's sampling fields, and what they mean to the generator.
import { z } from 'zod'
import { type GenerationOptions, type LogitsProcessor, occurrencePenalty, tokenBias } from '../../generation/index.ts'
import { badRequest } from '../http/errors.ts'
import type { ServedModel } from '../models/served-models.ts'

const stops = z.string().min(1).max(256)
const tokenId = z.int().nonnegative()

/** OpenAI pads events to hide the lengths of tokens from who watches the connection. */
export const withoutObfuscation = z
  .boolean()
  .refine(
    (given) => !given,
    'Expected false for `stream_options.include_obfuscation`, got true. Events are never padded: leave it out.',
  )
  .describe('events are never padded to hide the lengths of tokens')

/** Fields of chats and completions. OpenAI's clients send null for what is not set. */
export const samplingFields = {
  temperature: z
    .number()
    .min(0)
    .max(2)
    .nullish()
    .describe("sampling temperature; 0 takes the most likely token (default: the model's own, else 1)"),
  top_p: z.number().gt(0).max(1).nullish().describe('nucleus sampling'),
  top_k: z.int().nonnegative().nullish().describe('sample from the k most likely tokens only (0: all)'),
  min_p: z.number().min(0).max(1).nullish().describe('minimum probability relative to the most likely token'),
  repetition_penalty: z.number().positive().nullish().describe('penalty for tokens that already occur (1: none)'),
  presence_penalty: z.number().min(-2).max(2).nullish().describe('subtracted from logits of tokens that occur'),
  frequency_penalty: z.number().min(-2).max(2).nullish().describe('subtracted from logits for each occurrence'),
  logit_bias: z
    .record(z.string().regex(/^\d+$/), z.number().min(-100).max(100))
    .nullish()
    .describe('number added to the logit of each token id'),
  seed: z.int().nullish().describe('random seed: the same request and seed give the same text'),
  stop: z
    .union([stops, z.array(stops).max(16)])
    .nullish()
    .describe('stop strings; the text ends before the first of them'),
  stop_token_ids: z.array(tokenId).max(64).nullish().describe('further token ids that end a text'),
  ignore_eos: z.boolean().nullish().describe('continue after end tokens, but for those of `stop_token_ids`'),
  min_tokens: z.int().nonnegative().nullish().describe('minimum number of tokens before an end token'),
  n: z.int().min(1).nullish().describe('number of texts (default: 1)'),
  stream: z.boolean().nullish().describe('send the text as events while it is generated'),
  stream_options: z
    .strictObject({ include_usage: z.boolean().nullish(), include_obfuscation: withoutObfuscation.nullish() })
    .nullish()
    .describe('whether the last event has the usage'),
  priority: z
    .int()
    .min(-1000)
    .max(1000)
    .nullish()
    .describe('texts that wait are begun in the order of this number, the lowest first (default: 0)'),
  user: z.string().max(512).nullish().describe('label of the end user; not used'),
}

/** The values of the fields. */
export type Sampling = { [Field in keyof typeof samplingFields]?: z.output<(typeof samplingFields)[Field]> }

/** Generation settings of a request. */
export interface TextSettings {
  options: GenerationOptions
  processors: LogitsProcessor[]
  priority?: number
}

const samplingKeys = ['sample', 'temperature', 'topK', 'topP', 'minP', 'seed'] as const
const beamKeys = ['numBeams', 'lengthPenalty', 'earlyStopping', 'numReturnSequences', 'maxNewTokens'] as const

const defined = <Value extends object>(values: Value): Value =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value != null)) as Value

const without = (options: GenerationOptions, keys: readonly string[]): GenerationOptions =>
  Object.fromEntries(Object.entries(options).filter(([key]) => !keys.includes(key)))

/**
 * @param ends what ends a text beside the model's own end tokens
 * @throws ApiError for a token id outside the vocabulary
 */
export const textSettings = (
  { defaults, text }: ServedModel,
  given: Sampling,
  maxNewTokens: number,
  ends: { ids: readonly number[]; stop: readonly string[] },
): TextSettings => {
  const own = without(defaults, beamKeys)
  const sampled = own.sample === true ? own : {}
  const temperature = given.temperature ?? sampled.temperature ?? 1
  // A temperature of 0 takes the most likely token, to which the other settings mean nothing.
  const sampling: GenerationOptions =
    temperature === 0
      ? {}
      : {
          sample: true,
          temperature,
          topK: given.top_k ?? sampled.topK,
          topP: given.top_p ?? sampled.topP,
          minP: given.min_p ?? sampled.minP,
          seed: given.seed ?? undefined,
        }
  const { vocabSize } = text.model.facts
  const bias = new Map(Object.entries(given.logit_bias ?? {}).map(([id, value]) => [Number(id), value]))
  const wrong = [...bias.keys()].find((id) => id >= vocabSize)
  if (wrong !== undefined)
    throw badRequest(`Expected token ids below ${vocabSize} for \`logit_bias\`, got ${wrong}.`, 'logit_bias')
  const eos = [own.eosTokenIds ?? text.tokenizer.special.eos?.id ?? []].flat()
  const presence = given.presence_penalty ?? 0
  const frequency = given.frequency_penalty ?? 0
  const minNewTokens = given.min_tokens ?? own.minNewTokens
  if (minNewTokens !== undefined && minNewTokens > maxNewTokens)
    throw badRequest(
      `Expected at most the maximum number of tokens (${maxNewTokens}) for \`min_tokens\`, got ${minNewTokens}.`,
      'min_tokens',
    )
  return {
    priority: given.priority ?? undefined,
    options: {
      ...without(own, samplingKeys),
      ...defined(sampling),
      ...defined({ repetitionPenalty: given.repetition_penalty ?? undefined, minNewTokens }),
      maxNewTokens,
      stop: [...new Set([...[given.stop ?? []].flat(), ...ends.stop])],
      eosTokenIds: [
        ...new Set([...(given.ignore_eos === true ? [] : [...eos, ...ends.ids]), ...(given.stop_token_ids ?? [])]),
      ],
    },
    processors: [
      ...(presence !== 0 || frequency !== 0 ? [occurrencePenalty(presence, frequency)] : []),
      ...(bias.size > 0 ? [tokenBias(bias)] : []),
    ],
  }
}
