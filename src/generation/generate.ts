// Makes texts: whole (generate), or piece by piece (streamText). Brings together the batch that grows, the rules on scores, the
// choice of tokens and the reasons to stop. Knows no architecture.
import { randomInt } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { ConfigError, createRandom, type Random } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { noGrad, scope, Tensor } from '../tensor/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import { checkBatchSize } from './batch-size.ts'
import { BeamSearch } from './beam-search.ts'
import { asLanguageModel, GrowingBatch, type LanguageModel } from './language-model.ts'
import { type GenerationOptions, type GenerationSettings, parseGeneration } from './options.ts'
import { draw, likeliest, samplingRules } from './sampling.ts'
import { type ScoreRule, scoreRules } from './score-rules.ts'
import { type FinishReason, TextAssembler } from './stopping.ts'

/** A prompt as text, which needs a tokenizer, or as ids. */
export type Prompt = string | readonly number[]

export interface GenerationResult {
  /** Which prompt it continues. */
  promptIndex: number
  /** Without prompt, special tokens and stop string; absent without a tokenizer. */
  text?: string
  /** The new ids, an end token included. */
  ids: number[]
  finishReason: FinishReason
  promptTokens: number
  newTokens: number
  /** Beam search: sum of log-probabilities, divided by the length penalty. */
  score?: number
}

export interface RunOptions {
  /** Ends the work early; texts so far are returned with the reason `aborted`. */
  signal?: AbortSignal
}

/** What is asked, checked. */
export interface Job {
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
): Job => {
  const model = asLanguageModel(given, caller)
  const settings = parseGeneration(options)
  const end = tokenizer?.special.eos?.id
  settings.eosTokenIds ??= end === undefined ? [] : [end]
  if (settings.stop.length > 0 && tokenizer === undefined)
    throw new ConfigError('Expected a tokenizer beside `stop` of `generation`, got none. Pass one, or use eosTokenIds.')
  const { vocabSize, maxPositions, causal, decoderStartTokenId } = model.facts
  settings.decoderStartTokenId ??= decoderStartTokenId
  const rows = prompts.map((prompt, i) => {
    if (typeof prompt === 'string' && tokenizer === undefined)
      throw new ConfigError(`Expected ids for \`prompts[${i}]\` without a tokenizer, got text. Pass a tokenizer.`)
    const ids = typeof prompt === 'string' ? (tokenizer as Tokenizer).encode(prompt).ids : prompt
    const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize)
    if (wrong !== undefined)
      throw new ConfigError(`Expected ids from 0 to ${vocabSize - 1} for \`prompts[${i}]\`, got ${wrong}.`)
    if (ids.length === 0)
      throw new ConfigError(`Expected at least one token for \`prompts[${i}]\`, got none. Begin with a start token.`)
    return Array.from(ids)
  })
  if (rows.length === 0) throw new ConfigError('Expected at least one prompt for `prompts`, got none.')
  for (const [name, ids] of Object.entries({
    eosTokenIds: settings.eosTokenIds,
    badTokenIds: settings.badTokenIds,
    forcedFirstTokenId: settings.forcedFirstTokenId === undefined ? [] : [settings.forcedFirstTokenId],
    padTokenId: settings.padTokenId === undefined ? [] : [settings.padTokenId],
  }))
    for (const id of ids)
      if (id >= vocabSize) throw new ConfigError(`Expected ids from 0 to ${vocabSize - 1} for \`${name}\`, got ${id}.`)
  if (Array.isArray(settings.seed) && settings.seed.length !== rows.length)
    throw new ConfigError(`Expected a \`seed\` for each of ${rows.length} prompts, got ${settings.seed.length}.`)
  const longest = causal ? Math.max(...rows.map((row) => row.length)) : 1
  const room = (maxPositions ?? Number.POSITIVE_INFINITY) - longest
  if (room < 1)
    throw new ConfigError(
      `Expected a prompt of less than ${maxPositions} tokens, which is all the model has positions for, got ${longest}. Shorten it.`,
    )
  checkBatchSize(settings, rows.length, vocabSize)
  return { model, tokenizer, settings, prompts: rows, maxNewTokens: Math.min(settings.maxNewTokens, room) }
}

export const startBatch = ({ model, tokenizer, settings, prompts, maxNewTokens }: Job): GrowingBatch =>
  new GrowingBatch(model, prompts, {
    room: maxNewTokens,
    useCache: settings.useCache,
    decoderStartTokenId: settings.decoderStartTokenId,
    padTokenId: settings.padTokenId ?? tokenizer?.special.pad?.id ?? 0,
  })

/** The rows of [B,V], copied out. */
const rowsOf = (scores: Tensor): Float32Array[] => {
  const [rows, width] = scores.shape
  const all = scores.toFloat32Array()
  return Array.from({ length: rows }, (_, r) => all.subarray(r * width, (r + 1) * width))
}

/** One text that grows. */
class Growing {
  readonly promptIndex: number
  readonly prompt: readonly number[]
  readonly ids: number[] = []
  /** What rules see: prompt and text, or the text alone where an encoder has the prompt. */
  readonly seen: number[]
  readonly assembler: TextAssembler | undefined
  readonly random: Random | undefined
  finishReason: FinishReason | undefined

  constructor(job: Job, promptIndex: number, sequence: number, seed: number) {
    const { settings, tokenizer, model } = job
    this.promptIndex = promptIndex
    this.prompt = job.prompts[promptIndex]
    this.seen = model.facts.causal ? [...this.prompt] : [settings.decoderStartTokenId ?? 0]
    this.assembler = tokenizer === undefined ? undefined : new TextAssembler(tokenizer, settings.stop)
    // The stream depends on seed and sequence alone, so a text is the same whatever else is in the batch.
    if (settings.sample) this.random = createRandom(`${seed}:${sequence}`)
  }

  /** Adds a token; returns new certain text. */
  take(id: number, job: Job): string {
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

const chooseAll = (scores: Tensor, texts: readonly Growing[], rules: readonly ScoreRule[]): number[] => {
  if (rules.length === 0 && texts[0].random === undefined)
    return Array.from(scores.argmax(-1).toTypedArray() as BigInt64Array, Number)
  return rowsOf(scores).map((row, i) => {
    const { seen, ids, random } = texts[i]
    for (const rule of rules) rule(row, { ids: seen, newTokens: ids.length })
    return random === undefined ? likeliest(row) : draw(row, random)
  })
}

interface Piece {
  text: Growing
  id: number
  shown: string
}

/** Grows all texts, yielding after each step what it added. A batch that is given is the caller's to free. */
async function* grow(
  job: Job,
  texts: Growing[],
  signal: AbortSignal | undefined,
  given?: GrowingBatch,
): AsyncGenerator<Piece[]> {
  const { settings } = job
  const rules = [...scoreRules(settings), ...(settings.sample ? samplingRules(settings) : [])]
  const batch = given ?? startBatch(job)
  try {
    let alive = texts
    while (alive.length > 0 && !signal?.aborted) {
      const chosen = scope(() => {
        const scores = batch.scores()
        if (alive.length === batch.size) return chooseAll(scores, alive, rules)
        // Several texts of one prompt read it once.
        const rows = alive.map(({ promptIndex }) => promptIndex)
        batch.select(rows)
        return chooseAll(scores.indexSelect(0, Tensor.from(BigInt64Array.from(rows, BigInt))), alive, rules)
      })
      yield alive.map((text, i) => ({ text, id: chosen[i], shown: text.take(chosen[i], job) }))
      batch.extend(chosen)
      const left = alive.map((_, i) => i).filter((i) => alive[i].finishReason === undefined)
      if (left.length < alive.length) {
        alive = left.map((i) => alive[i])
        if (left.length > 0) batch.select(left)
      }
      // Lets signals and other work of the process through.
      await setImmediate()
    }
  } finally {
    if (given === undefined) batch.free()
  }
}

const searchBeams = async (job: Job, signal: AbortSignal | undefined): Promise<GenerationResult[]> => {
  const { settings, prompts, tokenizer, model } = job
  const { numBeams } = settings
  const rules = scoreRules(settings)
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
        const scores = noGrad(() => batch.scores().logSoftmax(-1))
        const rows = rowsOf(scores)
        const perPrompt = rows.length / alive.length
        return alive.map((prompt, place) => {
          const search = searches[prompt]
          const given = model.facts.causal ? prompts[prompt] : [settings.decoderStartTokenId ?? 0]
          const mine = search.texts.map((text, beam) => {
            // Before the first token all beams are alike, and the prompt was read once.
            const row = perPrompt === 1 && numBeams > 1 ? rows[place].slice() : rows[place * perPrompt + beam]
            for (const rule of rules) rule(row, { ids: [...given, ...text], newTokens: text.length })
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

const textsOf = (job: Job): Growing[] => {
  const { seed, sample, numReturnSequences } = job.settings
  const common = sample && seed === undefined ? randomInt(2 ** 47) : 0
  return job.prompts.flatMap((_, promptIndex) =>
    Array.from(
      { length: numReturnSequences },
      (_, sequence) =>
        new Growing(
          job,
          promptIndex,
          sequence,
          Array.isArray(seed) ? seed[promptIndex] : (seed ?? common + promptIndex),
        ),
    ),
  )
}

/**
 * Continues prompts. Results come in the order of the prompts, `numReturnSequences` for each. Without a tokenizer prompts are ids
 * and results have no text. The same seed gives the same text, whatever else is in the batch.
 * @throws ConfigError for settings that do not fit each other, the model or the prompts.
 */
export const generate = async (
  model: Model,
  tokenizer: Tokenizer | undefined,
  prompts: readonly Prompt[],
  options: GenerationOptions = {},
  { signal }: RunOptions = {},
): Promise<GenerationResult[]> => {
  const job = prepare(model, 'generate', tokenizer, prompts, options)
  if (job.settings.numBeams > 1) return searchBeams(job, signal)
  const texts = textsOf(job)
  for await (const _ of grow(job, texts, signal));
  return texts.map((text) => text.result())
}

export interface TextPiece {
  /** New text that no later token can change; may be empty. */
  text: string
  /** The token that brought it; undefined for what was held back until the end. */
  id: number | undefined
  /** With the last piece only. */
  finishReason?: FinishReason
}

/**
 * Continues one prompt and yields text as it comes, never half a character nor the beginning of a stop string. Ends early when
 * the caller leaves the loop or the signal fires.
 */
export async function* streamText(
  model: Model,
  tokenizer: Tokenizer,
  prompt: Prompt,
  options: GenerationOptions = {},
  { signal }: RunOptions = {},
): AsyncGenerator<TextPiece> {
  yield* streamJob(prepareStream(model, tokenizer, prompt, options), signal)
}

/** @throws ConfigError where several texts are asked for */
export const prepareStream = (model: Model, tokenizer: Tokenizer, prompt: Prompt, options: GenerationOptions): Job => {
  const job = prepare(model, 'streamText', tokenizer, [prompt], options)
  if (job.settings.numBeams > 1 || job.settings.numReturnSequences > 1)
    throw new ConfigError(
      'Expected one text to stream, got several by `numBeams` or `numReturnSequences`. Call generate.',
    )
  return job
}

/** Streams the one text of a job, in a batch of the caller's if there is one. */
export async function* streamJob(
  job: Job,
  signal: AbortSignal | undefined,
  batch?: GrowingBatch,
): AsyncGenerator<TextPiece> {
  const texts = textsOf(job)
  for await (const [{ id, shown }] of grow(job, texts, signal, batch)) yield { text: shown, id }
  yield { text: texts[0].assembler?.finish() ?? '', id: undefined, finishReason: texts[0].finishReason ?? 'aborted' }
}
