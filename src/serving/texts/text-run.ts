// Texts of one request: OpenAI's sampling fields and what they mean to the generator; the texts are submitted to the scheduler together, read
// piece by piece, and counted.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import {
  type FinishReason,
  type GenerationHandle,
  type GenerationOptions,
  type LogitsProcessor,
  occurrencePenalty,
  type RankedToken,
  type TextPiece,
  tokenBias,
} from '../../generation/index.ts'
import { badRequest, endedEarly } from '../http/errors.ts'
import { writes } from '../models/answered-paths.ts'
import type { ServedModel } from '../models/served-models.ts'
import type { Service } from '../service.ts'
import type { SpanAttributes } from '../tracing.ts'

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
type Sampling = { [Field in keyof typeof samplingFields]?: z.output<(typeof samplingFields)[Field]> }

/** Generation settings of a request. */
interface TextSettings {
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

/** Texts to generate from one prompt. */
interface TextRequest extends TextSettings {
  model: ServedModel
  prompt: readonly number[]
  /** Number of texts. */
  n: number
  /** Number of alternatives of each token; undefined without log-probabilities. */
  topLogProbs?: number
  signal: AbortSignal
}

/** A token with its log-probability and alternatives. */
export interface GeneratedToken extends RankedToken {
  alternatives: RankedToken[]
}

/** A text that is generated. */
export interface TextRun {
  handle: GenerationHandle
  model: ServedModel
  promptTokens: number
  started: number
}

/** A text that is done. */
export interface FinishedText {
  text: string
  ids: number[]
  /** With log-probabilities only. */
  tokens: GeneratedToken[]
  reason: 'stop' | 'length'
  promptTokens: number
  cachedTokens: number
}

const reasons: Record<FinishReason, 'stop' | 'length'> = {
  eos: 'stop',
  stop: 'stop',
  length: 'length',
  aborted: 'stop',
}

/** @throws ApiError for a model that does not write text */
export const schedulerOf = (model: ServedModel) => {
  const { engine, name, text } = model
  if (engine.scheduler !== undefined && writes(model)) return engine.scheduler
  throw badRequest(
    `The model \`${name}\` does not write text: its head is ${text.head}.`,
    'model',
    'model_not_supported',
  )
}

/**
 * The number of new tokens of a text.
 * @param requested undefined for as many as fit
 * @throws ApiError for a prompt that leaves no space for them
 */
export const newTokensOf = (
  { limits }: Service,
  { context, text, name }: ServedModel,
  promptTokens: number,
  requested: number | undefined,
  param: string,
): number => {
  const room = context - (text.model.facts.causal ? promptTokens : 0)
  const wanted = requested ?? 1
  if (room < Math.max(1, wanted))
    throw badRequest(
      `The context of ${name} is ${context} tokens: the prompt has ${promptTokens}, and ${wanted} are wanted for the completion. Shorten one of them.`,
      param,
      'context_length_exceeded',
    )
  const most = Math.min(room, limits.maxNewTokens ?? room)
  if (requested !== undefined && requested > most)
    throw badRequest(`Expected at most ${most} new tokens on this server, got ${requested}.`, 'max_tokens')
  return requested ?? most
}

/** Submits the texts of a request. @throws ApiError for settings that do not fit the model */
export const startTexts = (request: TextRequest): TextRun[] => {
  const { model, prompt, n, options, processors, priority, topLogProbs, signal } = request
  const scheduler = schedulerOf(model)
  const common = {
    prompt,
    processors,
    priority,
    signal,
    tokenizer: model.tokenizer,
    adapter: model.adapter,
    ...(topLogProbs === undefined ? {} : { logProbs: 'raw' as const, topLogProbs }),
  }
  const submit = (): GenerationHandle[] => {
    if (options.sample === true)
      return scheduler.submitGroup({ ...common, options: { ...options, numReturnSequences: n } })
    return Array.from({ length: n }, () => scheduler.submit({ ...common, options }))
  }
  try {
    const started = performance.now()
    return submit().map((handle) => ({ handle, model, promptTokens: prompt.length, started }))
  } catch (error) {
    if (error instanceof ConfigError) throw badRequest(error.message)
    throw error
  }
}

/**
 * Reads a text to its end.
 * @param onPiece called with each piece
 * @throws ApiError when the time of the request ran out
 */
export const readText = async (
  { metrics }: Service,
  { handle, model, promptTokens, started }: TextRun,
  timedOut: () => boolean,
  onPiece: (piece: TextPiece) => void = () => undefined,
): Promise<FinishedText> => {
  const labels = { model_name: model.name }
  const tokens: GeneratedToken[] = []
  const ids: number[] = []
  let text = ''
  let reason: FinishReason = 'aborted'
  let last = started
  for await (const piece of handle) {
    const now = performance.now()
    if (piece.id !== undefined) {
      const seconds = (now - last) / 1000
      if (ids.length === 0) metrics.firstToken.observe(labels, seconds)
      else metrics.betweenTokens.observe(labels, seconds)
      last = now
      ids.push(piece.id)
      if (piece.logProb !== undefined)
        tokens.push({ id: piece.id, logProb: piece.logProb, alternatives: piece.alternatives ?? [] })
    }
    text += piece.text
    reason = piece.finishReason ?? reason
    if (piece.finishReason !== 'aborted') onPiece(piece)
  }
  metrics.newTokens.add(labels, ids.length)
  metrics.requestNewTokens.observe(labels, ids.length)
  metrics.latency.observe(labels, (performance.now() - started) / 1000)
  metrics.finished.add({ ...labels, finished_reason: reason === 'aborted' ? 'abort' : reasons[reason] })
  if (reason === 'aborted') throw endedEarly(timedOut(), 'Ask for fewer tokens.')
  return { text, ids, tokens, reason: reasons[reason], promptTokens, cachedTokens: handle.reusedTokens }
}

/** OpenAI's usage of prompts, each with its texts. */
export const usageOf = (
  { service, describe }: { service: Service; describe(attributes: SpanAttributes): void },
  model: ServedModel,
  prompts: readonly (readonly FinishedText[])[],
) => {
  const { metrics } = service
  const labels = { model_name: model.name }
  let [prompt, completion, cached] = [0, 0, 0]
  for (const texts of prompts) {
    const [{ promptTokens, cachedTokens }] = texts
    metrics.promptTokens.add(labels, promptTokens)
    metrics.requestPromptTokens.observe(labels, promptTokens)
    metrics.prefixQueries.add(labels, promptTokens)
    metrics.prefixHits.add(labels, cachedTokens)
    prompt += promptTokens
    cached += cachedTokens
    for (const { ids } of texts) completion += ids.length
  }
  describe({
    'gen_ai.usage.input_tokens': prompt,
    'gen_ai.usage.output_tokens': completion,
    'gen_ai.response.finish_reasons': prompts.flat().map(({ reason }) => reason),
  })
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
  }
}
