// A checked request for generation, and its results: prompts as token ids, settings that fit each other and the model.
import { freemem } from 'node:os'
import { ConfigError, formatBytes } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { gapPrompt, type Tokenizer } from '../tokenizers/index.ts'
import { asLanguageModel, DecodingBatch, type LanguageModel } from './decoding-batch.ts'
import type { FinishReason } from './growing-text.ts'
import { type GenerationOptions, type GenerationSettings, parseGeneration, withEnds } from './options.ts'
import type { RankedToken } from './token-choice.ts'

/** A prompt as text, which needs a tokenizer, or as token ids. */
export type Prompt = string | readonly number[]

/** One generated text. */
export interface GenerationResult {
  promptIndex: number
  /** Generated text, without prompt, special tokens and stop string; absent without a tokenizer. */
  text?: string
  /** Generated token ids, including an end token. */
  ids: number[]
  finishReason: FinishReason
  promptTokens: number
  newTokens: number
  /** Beam search: sum of log-probabilities, divided by the length penalty. */
  score?: number
  /** Log-probability of each generated token (nats, float32), where a scheduler was asked for them. */
  logProbs?: number[]
}

/** A part of a streamed text. */
export interface TextPiece {
  /** New text that no later token can change; may be empty. */
  text: string
  /** The generated token; undefined in the last piece, which has the text that was held back. */
  id: number | undefined
  /** Log-probability of the token, where a scheduler was asked for it. */
  logProb?: number
  /** The most likely tokens in its place, where a scheduler was asked for them. */
  alternatives?: RankedToken[]
  /** In the last piece only. */
  finishReason?: FinishReason
}

/** How a caller ends generation early. */
export interface AbortOptions {
  /** Stops after the current token; texts so far are returned with the reason `aborted`. */
  signal?: AbortSignal | undefined
}

/** A checked request. */
export interface GenerationJob {
  model: LanguageModel
  tokenizer: Tokenizer | undefined
  settings: GenerationSettings
  prompts: (readonly number[])[]
  maxNewTokens: number
}

/**
 * Checks a request.
 * @param caller the public function, for errors
 * @throws ConfigError for options that do not fit each other, the model or the prompts, or that need more memory than is
 * free
 */
export const prepareJob = (
  given: Model,
  caller: string,
  tokenizer: Tokenizer | undefined,
  prompts: readonly Prompt[],
  options: GenerationOptions,
): GenerationJob => {
  const model = asLanguageModel(given, caller)
  const settings = parseGeneration(options)
  const end = tokenizer?.special.eos?.id
  settings.eosTokenIds ??= end === undefined ? [] : [end]
  if (settings.stop.length > 0 && tokenizer === undefined)
    throw new ConfigError('`stop` needs a tokenizer: pass one, or use `eosTokenIds`.')
  const { vocabSize, maxPositions, causal, decoderStartTokenId } = model.facts
  settings.decoderStartTokenId ??= decoderStartTokenId
  const rows = prompts.map((prompt, i) => {
    if (typeof prompt === 'string' && tokenizer === undefined)
      throw new ConfigError(`Expected token ids for \`prompts[${i}]\` without a tokenizer, got text. Pass a tokenizer.`)
    const ids = typeof prompt === 'string' ? (tokenizer as Tokenizer).encode(prompt).ids : prompt
    const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize)
    if (wrong !== undefined)
      throw new ConfigError(`Expected token ids from 0 to ${vocabSize - 1} for \`prompts[${i}]\`, got ${wrong}.`)
    if (ids.length === 0)
      throw new ConfigError(
        `Expected at least one token for \`prompts[${i}]\`, got none. Write a prompt, or begin with the id of a start token.`,
      )
    return Array.from(ids)
  })
  if (rows.length === 0) throw new ConfigError('Expected at least one prompt for `prompts`, got none.')
  for (const [name, ids] of Object.entries({
    eosTokenIds: settings.eosTokenIds,
    suppressTokenIds: settings.suppressTokenIds,
    forcedBosTokenId: settings.forcedBosTokenId === undefined ? [] : [settings.forcedBosTokenId],
    padTokenId: settings.padTokenId === undefined ? [] : [settings.padTokenId],
  }))
    for (const id of ids)
      if (id >= vocabSize)
        throw new ConfigError(`Expected token ids from 0 to ${vocabSize - 1} for \`${name}\`, got ${id}.`)
  if (Array.isArray(settings.seed) && settings.seed.length !== rows.length)
    throw new ConfigError(`Expected a \`seed\` for each of ${rows.length} prompts, got ${settings.seed.length}.`)
  const longest = causal ? Math.max(...rows.map((row) => row.length)) : 1
  const most = (maxPositions ?? Number.POSITIVE_INFINITY) - longest
  if (most < 1)
    throw new ConfigError(
      `Expected fewer than ${maxPositions} tokens in each prompt, the number of positions of the model, got ${longest}. Shorten the prompt.`,
    )
  checkBatchSize(settings, rows.length, vocabSize)
  return { model, tokenizer, settings, prompts: rows, maxNewTokens: Math.min(settings.maxNewTokens, most) }
}

/** A decoding batch for the prompts of a request; the caller frees it. */
export const startBatch = ({ model, tokenizer, settings, prompts, maxNewTokens }: GenerationJob): DecodingBatch =>
  new DecodingBatch(model, prompts, {
    maxNewTokens: maxNewTokens,
    useCache: settings.useCache,
    decoderStartTokenId: settings.decoderStartTokenId,
    padTokenId: settings.padTokenId ?? tokenizer?.special.pad?.id ?? 0,
  })

/** float32 logits, their log-probabilities, and the copy that JavaScript reads. */
const bytesPerLogit = 3 * 4

/**
 * Compares the logits of one step with free memory. The cache of keys and values comes on top, so what passes may still
 * be too much; what fails cannot work.
 * @throws ConfigError for more beams than tokens in the vocabulary, and for more rows than fit
 */
export const checkBatchSize = (
  { numBeams, numReturnSequences }: Pick<GenerationSettings, 'numBeams' | 'numReturnSequences'>,
  prompts: number,
  vocabSize: number,
  freeBytes: number = freemem(),
): void => {
  if (numBeams > vocabSize)
    throw new ConfigError(
      `Expected at most ${vocabSize} for \`numBeams\`, one for each token of the vocabulary, got ${numBeams}. Use fewer: 4 to 10 are usual.`,
    )
  const perPrompt = Math.max(numBeams, numReturnSequences)
  const bytes = prompts * perPrompt * vocabSize * bytesPerLogit
  if (bytes <= freeBytes) return
  const key = numBeams > 1 ? 'numBeams' : 'numReturnSequences'
  const remedy = perPrompt > 1 ? `Lower \`${key}\`, or pass fewer prompts.` : 'Pass fewer prompts.'
  throw new ConfigError(
    `Expected sequences that fit in ${formatBytes(freeBytes)} of free memory, got ${prompts} prompts × ${perPrompt}, whose logits alone need ${formatBytes(bytes)}. ${remedy}`,
  )
}

/** A prompt; one without tokens begins with the start token of the tokenizer (bos, else eos), where it has one. */
export const beginPrompt = (tokenizer: Tokenizer, text: string): Prompt => {
  const ids = Array.from(tokenizer.encode(text).ids)
  const start = tokenizer.special.bos ?? tokenizer.special.eos
  return ids.length === 0 && start !== undefined ? [start.id] : ids
}

/**
 * Prompts with their options. With a `suffix`, the text between each prompt and the suffix is generated, and ends at the end
 * tokens of fill-in-the-middle; an empty suffix is none.
 * @throws ConfigError for a suffix and a tokenizer without the tokens of fill-in-the-middle
 */
export const beginPrompts = (
  tokenizer: Tokenizer,
  texts: readonly string[],
  options: GenerationOptions,
  suffix = '',
): { prompts: Prompt[]; options: GenerationOptions } => {
  if (suffix === '') return { prompts: texts.map((text) => beginPrompt(tokenizer, text)), options }
  const gaps = texts.map((text) => gapPrompt(tokenizer, text, suffix))
  return { prompts: gaps.map(({ ids }) => ids), options: withEnds(options, { ids: gaps.flatMap(({ ends }) => ends) }) }
}
