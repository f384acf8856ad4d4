// One text while it is generated: its tokens, its random stream, and when it ends: stop strings across token borders, and text without half
// characters. Independent of models and batches.
import { randomInt } from 'node:crypto'
import { createRandom, type Random } from '../core/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import type { GenerationJob, GenerationResult } from './job.ts'

/** Why generation ended: an end token, a stop string, the maximum length, or the caller's signal. */
export type FinishReason = 'eos' | 'stop' | 'length' | 'aborted'

/** Length of the longest suffix of `text` that is a prefix of one of `stops`. */
const overlap = (text: string, stops: readonly string[]): number => {
  let longest = 0
  for (const stop of stops)
    for (let n = Math.min(stop.length - 1, text.length); n > longest; n--)
      if (text.endsWith(stop.slice(0, n))) {
        longest = n
        break
      }
  return longest
}

/** Tokens that a character can consist of; a longer incomplete character is broken bytes and is emitted as such. */
const longestCharacter = 8

/**
 * Decodes tokens one by one. Emits only text that no later token can change: bytes of an incomplete character and a
 * possible beginning of a stop string are held back.
 */
export class TextAssembler {
  readonly #tokenizer: Pick<Tokenizer, 'decode'>
  readonly #stops: readonly string[]
  readonly #ids: number[] = []
  /**
   * Tokens before `#from` are emitted; those from `#context` on are decoded together, since spaces depend on
   * neighbours.
   */
  #context = 0
  #from = 0
  #heldBack = ''
  #text = ''
  #stopped = false

  constructor(tokenizer: Pick<Tokenizer, 'decode'>, stops: readonly string[]) {
    this.#tokenizer = tokenizer
    this.#stops = stops
  }

  /** All text emitted so far. */
  get text(): string {
    return this.#text
  }

  /** Whether a stop string was found; nothing is emitted after it. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** Adds a token. @returns the text that is final by it */
  push(id: number): string {
    if (this.#stopped) return ''
    this.#ids.push(id)
    return this.#decodeNew(false)
  }

  /** Ends the text. @returns what was held back */
  finish(): string {
    return this.#stopped ? '' : this.#decodeNew(true)
  }

  #decode(from: number, to: number): string {
    return this.#tokenizer.decode(this.#ids.slice(from, to), { skipSpecialTokens: true })
  }

  #decodeNew(last: boolean): string {
    const before = this.#decode(this.#context, this.#from)
    const now = this.#decode(this.#context, this.#ids.length)
    const partial = now.endsWith('\ufffd') && this.#ids.length - this.#from < longestCharacter
    if (!last && partial) return ''
    if (now.length > before.length) {
      this.#heldBack += now.slice(before.length)
      this.#context = this.#from
      this.#from = this.#ids.length
    }
    return this.#emit(last)
  }

  #emit(last: boolean): string {
    let end = this.#heldBack.length
    const found = this.#stops.map((stop) => this.#heldBack.indexOf(stop)).filter((at) => at >= 0)
    if (found.length > 0) {
      this.#stopped = true
      end = Math.min(...found)
    } else if (!last) end -= overlap(this.#heldBack, this.#stops)
    const shown = this.#heldBack.slice(0, end)
    this.#heldBack = this.#heldBack.slice(end)
    this.#text += shown
    return shown
  }
}

/** One sequence while it is generated. */
export class GrowingText {
  readonly promptIndex: number
  readonly prompt: readonly number[]
  readonly ids: number[] = []
  /** Ids for logits processors: prompt and generated tokens; with an encoder, the decoder's ids alone. */
  readonly seen: number[]
  readonly assembler: TextAssembler | undefined
  readonly random: Random | undefined
  finishReason: FinishReason | undefined
  #drawn: number | undefined

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

  /**
   * The random number that chooses the next token; undefined without a random stream. It stays the same until a token is appended, so that
   * a choice that fails, such as without memory, is the same when it is made again.
   */
  draw(): number | undefined {
    this.#drawn ??= this.random?.float()
    return this.#drawn
  }

  /** Appends a token. @returns the text that is final by it */
  append(id: number, job: GenerationJob): string {
    this.#drawn = undefined
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

/** The texts of a job: `numReturnSequences` for each prompt, in order. */
export const textsOf = (job: GenerationJob): GrowingText[] => {
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
