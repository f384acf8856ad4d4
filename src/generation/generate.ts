// Text generation: complete (generate) or streamed (streamText). Joins the decoding batch, logits processors, sampling
// or beam search, and stopping. Independent of architectures.
import { randomInt } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { ConfigError, createRandom, type Random } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { noGrad, scope, Tensor } from '../tensor/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import { checkBatchSize } from './batch-size.ts'
import { BeamSearch } from './beam-search.ts'
import { asLanguageModel, DecodingBatch, type LanguageModel } from './decoding-batch.ts'
import { type LogitsProcessor, logitsProcessors } from './logits-processors.ts'
import { type GenerationOptions, type GenerationSettings, parseGeneration } from './options.ts'
import { mostLikelyToken, sampleToken, samplingProcessors } from './sampling.ts'
import { type FinishReason, TextAssembler } from './stopping.ts'

/** A prompt as text, which needs a tokenizer, or as token ids. */
export type Prompt = string | readonly number[]

/** One generated text. */
export interface GenerationResult {
  /** Index of its prompt. */
  promptIndex: number
  /** Generated text, without prompt, special tokens and stop string; absent without a tokenizer. */
  text?: string
  /** Generated token ids, including an end token. */
  ids: number[]
  finishReason: FinishReason
  /** Tokens of the prompt. */
  promptTokens: number
  /** Generated tokens. */
  newTokens: number
  /** Beam search: sum of log-probabilities, divided by the length penalty. */
  score?: number
}

/** How a caller ends generation early. */
export interface AbortOptions {
  /** Stops after the current token; texts so far are returned with the reason `aborted`. */
  signal?: AbortSignal
}

/** A checked request. */
export interface GenerationJob {
  model: LanguageModel
  tokenizer: Tokenizer | undefined
  settings: GenerationSettings
  prompts: (readonly number[])[]
  maxNewTokens: number
}

const prepare = (
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
      throw new ConfigError(`Expected at least one token for \`prompts[${i}]\`, got none. Begin with a start token.`)
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

/** Rows of [B,V], copied to JavaScript. */
const rowsOf = (logits: Tensor): Float32Array[] => {
  const [rows, width] = logits.shape
  const all = logits.toFloat32Array()
  return Array.from({ length: rows }, (_, r) => all.subarray(r * width, (r + 1) * width))
}

/** One sequence while it is generated. */
class GrowingText {
  readonly promptIndex: number
  readonly prompt: readonly number[]
  readonly ids: number[] = []
  /** Ids for logits processors: prompt and generated tokens; with an encoder, the decoder's ids alone. */
  readonly seen: number[]
  readonly assembler: TextAssembler | undefined
  readonly random: Random | undefined
  finishReason: FinishReason | undefined

  constructor(job: GenerationJob, promptIndex: number, sequence: number, seed: number) {
    const { settings, tokenizer, model } = job
    this.promptIndex = promptIndex
    this.prompt = job.prompts[promptIndex]
    this.seen = model.facts.causal ? [...this.prompt] : [settings.decoderStartTokenId ?? 0]
    this.assembler = tokenizer === undefined ? undefined : new TextAssembler(tokenizer, settings.stop)
    // The random numbers depend on seed and sequence number alone, so that a text does not depend on the rest of the
    // batch.
    if (settings.sample) this.random = createRandom(`${seed}:${sequence}`)
  }

  /** Appends a token. @returns the text that is final by it */
  append(id: number, job: GenerationJob): string {
    this.ids.push(id)
    this.seen.push(id)
    const ends = job.settings.eosTokenIds?.includes(id) ?? false
    const text = ends ? '' : (this.assembler?.push(id) ?? '')
    if (ends) this.finishReason = 'eos'
    else if (this.assembler?.stopped) this.finishReason = 'stop'
    else if (this.ids.length >= job.maxNewTokens) this.finishReason = 'length'
    return text
  }

  result(): GenerationResult {
    this.assembler?.finish()
    return {
      promptIndex: this.promptIndex,
      ...(this.assembler === undefined ? {} : { text: this.assembler.text }),
      ids: this.ids,
      finishReason: this.finishReason ?? 'aborted',
      promptTokens: this.prompt.length,
      newTokens: this.ids.length,
    }
  }
}

const chooseTokens = (
  logits: Tensor,
  texts: readonly GrowingText[],
  processors: readonly LogitsProcessor[],
): number[] => {
  if (processors.length === 0 && texts[0].random === undefined)
    return Array.from(logits.argmax(-1).toTypedArray() as BigInt64Array, Number)
  return rowsOf(logits).map((row, i) => {
    const { seen, ids, random } = texts[i]
    for (const process of processors) process(row, { ids: seen, newTokens: ids.length })
    return random === undefined ? mostLikelyToken(row) : sampleToken(row, random)
  })
}

interface Step {
  text: GrowingText
  id: number
  /** Text that is final by this token. */
  final: string
}

/** Generates all texts, yielding the new tokens after each step. A batch that is passed in is freed by the caller. */
async function* decode(
  job: GenerationJob,
  texts: GrowingText[],
  signal: AbortSignal | undefined,
  given?: DecodingBatch,
): AsyncGenerator<Step[]> {
  const { settings } = job
  const processors = [...logitsProcessors(settings), ...(settings.sample ? samplingProcessors(settings) : [])]
  const batch = given ?? startBatch(job)
  try {
    let alive = texts
    while (alive.length > 0 && !signal?.aborted) {
      const chosen = scope(() => {
        const logits = batch.nextLogits()
        if (alive.length === batch.size) return chooseTokens(logits, alive, processors)
        // Several texts of one prompt share its computation.
        const rows = alive.map(({ promptIndex }) => promptIndex)
        batch.select(rows)
        return chooseTokens(logits.indexSelect(0, Tensor.from(BigInt64Array.from(rows, BigInt))), alive, processors)
      })
      yield alive.map((text, i) => ({ text, id: chosen[i], final: text.append(chosen[i], job) }))
      batch.extend(chosen)
      const left = alive.map((_, i) => i).filter((i) => alive[i].finishReason === undefined)
      if (left.length < alive.length) {
        alive = left.map((i) => alive[i])
        if (left.length > 0) batch.select(left)
      }
      // Gives signals and other work of the process a turn.
      await setImmediate()
    }
  } finally {
    if (given === undefined) batch.free()
  }
}

const searchBeams = async (job: GenerationJob, signal: AbortSignal | undefined): Promise<GenerationResult[]> => {
  const { settings, prompts, tokenizer, model } = job
  const { numBeams } = settings
  const processors = logitsProcessors(settings)
  const assembled = (ids: readonly number[]) => {
    const assembler = tokenizer === undefined ? undefined : new TextAssembler(tokenizer, settings.stop)
    const ends = (id: number) => settings.eosTokenIds?.includes(id) ?? false
    for (const id of ids) if (!ends(id)) assembler?.push(id)
    assembler?.finish()
    return assembler
  }
  const stops = (ids: readonly number[]) => settings.stop.length > 0 && (assembled(ids)?.stopped ?? false)
  const searches = prompts.map(() => new BeamSearch(settings, job.maxNewTokens, stops))
  const batch = startBatch(job)
  try {
    let alive = searches.map((_, i) => i)
    while (alive.length > 0 && !signal?.aborted) {
      const grown = scope(() => {
        const rows = rowsOf(noGrad(() => batch.nextLogits().logSoftmax(-1)))
        const perPrompt = rows.length / alive.length
        return alive.map((prompt, place) => {
          const search = searches[prompt]
          const given = model.facts.causal ? prompts[prompt] : [settings.decoderStartTokenId ?? 0]
          const mine = search.texts.map((text, beam) => {
            // Before the first token all beams are equal, so the prompt was computed once.
            const row = perPrompt === 1 && numBeams > 1 ? rows[place].slice() : rows[place * perPrompt + beam]
            for (const process of processors) process(row, { ids: [...given, ...text], newTokens: text.length })
            return row
          })
          return search.advance(mine).map((from) => (perPrompt === 1 ? place : place * perPrompt + from))
        })
      })
      const going = alive.map((_, place) => place).filter((place) => !searches[alive[place]].done)
      const rows = going.flatMap((place) => grown[place])
      alive = going.map((place) => alive[place])
      if (alive.length === 0) break
      batch.select(rows)
      batch.extend(alive.flatMap((prompt) => searches[prompt].texts.map((text) => text[text.length - 1])))
      await setImmediate()
    }
  } finally {
    batch.free()
  }
  return searches.flatMap((search, promptIndex) =>
    search.results(settings.numReturnSequences).map(({ ids, score }): GenerationResult => {
      const last = ids[ids.length - 1]
      const assembler = assembled(ids)
      const ended = settings.eosTokenIds?.includes(last) ?? false
      const unfinished = signal?.aborted && ids.length < job.maxNewTokens
      return {
        promptIndex,
        ...(assembler === undefined ? {} : { text: assembler.text }),
        ids,
        finishReason: ended ? 'eos' : assembler?.stopped ? 'stop' : unfinished ? 'aborted' : 'length',
        promptTokens: prompts[promptIndex].length,
        newTokens: ids.length,
        score,
      }
    }),
  )
}

const textsOf = (job: GenerationJob): GrowingText[] => {
  const { seed, sample, numReturnSequences } = job.settings
  const common = sample && seed === undefined ? randomInt(2 ** 47) : 0
  return job.prompts.flatMap((_, promptIndex) =>
    Array.from(
      { length: numReturnSequences },
      (_, sequence) =>
        new GrowingText(
          job,
          promptIndex,
          sequence,
          Array.isArray(seed) ? seed[promptIndex] : (seed ?? common + promptIndex),
        ),
    ),
  )
}

/**
 * Generates texts that continue the prompts, in their order, `numReturnSequences` for each. Without a tokenizer,
 * prompts are token ids and results have no text. The same seed gives the same text, whatever else is in the batch.
 * @param model a decoder or encoder-decoder with a language modelling head, as `loadModel` returns it
 * @throws ConfigError for options that do not fit each other, the model or the prompts, or that need more memory than
 * is free
 */
export const generate = async (
  model: Model,
  tokenizer: Tokenizer | undefined,
  prompts: readonly Prompt[],
  options: GenerationOptions = {},
  { signal }: AbortOptions = {},
): Promise<GenerationResult[]> => {
  const job = prepare(model, 'generate', tokenizer, prompts, options)
  if (job.settings.numBeams > 1) return searchBeams(job, signal)
  const texts = textsOf(job)
  for await (const _ of decode(job, texts, signal));
  return texts.map((text) => text.result())
}

/** A part of a streamed text. */
export interface TextPiece {
  /** New text that no later token can change; may be empty. */
  text: string
  /** The generated token; undefined in the last piece, which has the text that was held back. */
  id: number | undefined
  /** In the last piece only. */
  finishReason?: FinishReason
}

/**
 * Generates one text and yields it in pieces, never half a character nor the beginning of a stop string. Ends early
 * when the caller leaves the loop or the signal fires.
 * @throws ConfigError as `generate`, and for options with several results
 */
export async function* streamText(
  model: Model,
  tokenizer: Tokenizer,
  prompt: Prompt,
  options: GenerationOptions = {},
  { signal }: AbortOptions = {},
): AsyncGenerator<TextPiece> {
  yield* streamJob(prepareStream(model, tokenizer, prompt, options), signal)
}

/** A request for one text, for `streamText` or `TextSession`. @throws ConfigError for options with several results */
export const prepareStream = (
  model: Model,
  tokenizer: Tokenizer,
  prompt: Prompt,
  options: GenerationOptions,
): GenerationJob => {
  const job = prepare(model, 'streamText', tokenizer, [prompt], options)
  if (job.settings.numBeams > 1 || job.settings.numReturnSequences > 1)
    throw new ConfigError(
      'Expected one text to stream, got several by `numBeams` or `numReturnSequences`. Call `generate` instead.',
    )
  return job
}

/** Streams the text of a request, in a batch of the caller if one is passed. */
export async function* streamJob(
  job: GenerationJob,
  signal: AbortSignal | undefined,
  batch?: DecodingBatch,
): AsyncGenerator<TextPiece> {
  const texts = textsOf(job)
  for await (const [{ id, final }] of decode(job, texts, signal, batch)) yield { text: final, id }
  yield { text: texts[0].assembler?.finish() ?? '', id: undefined, finishReason: texts[0].finishReason ?? 'aborted' }
}
