// Texts of one request: submitted to the scheduler together, read piece by piece, and counted.
import { ConfigError } from '../../core/index.ts'
import type { FinishReason, GenerationHandle, RankedToken, TextPiece } from '../../generation/index.ts'
import { badRequest, endedEarly } from '../http/errors.ts'
import { writes } from '../models/answered-paths.ts'
import type { ServedModel } from '../models/served-models.ts'
import type { Service } from '../service.ts'
import type { SpanAttributes } from '../tracing.ts'
import type { TextSettings } from './sampling.ts'

/** Texts to generate from one prompt. */
export interface TextRequest extends TextSettings {
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
