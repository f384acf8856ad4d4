// Successive texts whose prompts share a prefix, such as the turns of a conversation: keys and values of the prefix are
// reused. Independent of roles and chat templates.
import type { Model } from '../models/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import type { DecodingBatch } from './decoding-batch.ts'
import { prepareStream, streamJob } from './generate.ts'
import { type AbortOptions, type Prompt, startBatch, type TextPiece } from './job.ts'
import type { GenerationOptions } from './options.ts'

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
