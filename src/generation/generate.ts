// Text generation: complete (generate) or streamed (streamText). Joins the decoding batch, logits processors, sampling
// or beam search, and stopping. A session streams texts that begin alike, such as the turns of a conversation, without computing their
// beginning again. Independent of architectures, roles and chat templates.
import { setImmediate } from 'node:timers/promises'
import { ConfigError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { noGrad, scope } from '../tensor/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import { BeamSearch } from './beam-search.ts'
import type { DecodingBatch } from './decoding-batch.ts'
import { type GrowingText, TextAssembler, textsOf } from './growing-text.ts'
import {
  type AbortOptions,
  type GenerationJob,
  type GenerationResult,
  type Prompt,
  prepareJob,
  startBatch,
  type TextPiece,
} from './job.ts'
import { logitsProcessors } from './logits-processors.ts'
import type { GenerationOptions } from './options.ts'
import { chooseTokens, rowsAt, rowsOf, TokenChooser } from './token-choice.ts'

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
  const chooser = new TokenChooser(settings)
  const batch = given ?? startBatch(job)
  try {
    let alive = texts
    while (alive.length > 0 && !signal?.aborted) {
      const choosing = alive.map((text) => ({ text, chooser }))
      const chosen = scope(() => {
        const logits = batch.nextLogits()
        if (alive.length === batch.size) return chooseTokens(logits, choosing)
        // Several texts of one prompt share its computation.
        const rows = alive.map(({ promptIndex }) => promptIndex)
        batch.select(rows)
        return chooseTokens(rowsAt(logits, rows), choosing)
      }).map(({ id }) => id)
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
  const job = prepareJob(model, 'generate', tokenizer, prompts, options)
  if (job.settings.numBeams > 1) return searchBeams(job, signal)
  const texts = textsOf(job)
  for await (const _ of decode(job, texts, signal));
  return texts.map((text) => text.result())
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
const prepareStream = (
  model: Model,
  tokenizer: Tokenizer,
  prompt: Prompt,
  options: GenerationOptions,
): GenerationJob => {
  const job = prepareJob(model, 'streamText', tokenizer, [prompt], options)
  if (job.settings.numBeams > 1 || job.settings.numReturnSequences > 1)
    throw new ConfigError(
      'Expected one text to stream, got several by `numBeams` or `numReturnSequences`. Call `generate` instead.',
    )
  return job
}

/** Streams the text of a request, in a batch of the caller if one is passed. */
async function* streamJob(
  job: GenerationJob,
  signal: AbortSignal | undefined,
  batch?: DecodingBatch,
): AsyncGenerator<TextPiece> {
  const texts = textsOf(job)
  for await (const [{ id, final }] of decode(job, texts, signal, batch)) yield { text: final, id }
  yield { text: texts[0].assembler?.finish() ?? '', id: undefined, finishReason: texts[0].finishReason ?? 'aborted' }
}

/** Streams one text after another and computes only the part of each prompt that differs from the one before. */
export class TextSession {
  readonly #tokenizer: Tokenizer
  #model: Model
  #batch: DecodingBatch | undefined
  #reusedTokens = 0

  constructor(model: Model, tokenizer: Tokenizer) {
    this.#model = model
    this.#tokenizer = tokenizer
  }

  /** Tokens of the last prompt whose keys and values were reused. */
  get reusedTokens(): number {
    return this.#reusedTokens
  }

  /** As `streamText`: the same text, sooner. One stream at a time. */
  async *stream(
    prompt: Prompt,
    options: GenerationOptions = {},
    { signal }: AbortOptions = {},
  ): AsyncGenerator<TextPiece> {
    const job = prepareStream(this.#model, this.#tokenizer, prompt, options)
    this.#reusedTokens = 0
    if (!job.model.facts.causal || !job.settings.useCache) {
      yield* streamJob(job, signal)
      return
    }
    if (this.#batch === undefined) this.#batch = startBatch(job)
    else this.#reusedTokens = this.#batch.reusePrefix(job.prompts[0])
    try {
      yield* streamJob(job, signal, this.#batch)
    } catch (error) {
      // The layers' caches may differ in length after an error within a step.
      this.reset()
      throw error
    }
  }

  /** Continues with another model, or the same one after a change such as another adapter; the cache is dropped. */
  setModel(model: Model): void {
    this.#model = model
    this.reset()
  }

  /** Drops the cache. */
  reset(): void {
    this.#batch?.free()
    this.#batch = undefined
  }
}
