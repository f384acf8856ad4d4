// One text after another whose prompts begin alike, as those of a conversation do: the keys and values of what stays the same are kept.
// Knows no roles and no templates.
import type { Model } from '../models/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import { type Prompt, prepareStream, type RunOptions, startBatch, streamJob, type TextPiece } from './generate.ts'
import type { GrowingBatch } from './language-model.ts'
import type { GenerationOptions } from './options.ts'

export class TextSession {
  readonly #tokenizer: Tokenizer
  #model: Model
  #batch: GrowingBatch | undefined
  #kept = 0

  constructor(model: Model, tokenizer: Tokenizer) {
    this.#model = model
    this.#tokenizer = tokenizer
  }

  /** Tokens of the last prompt that were not read again. */
  get kept(): number {
    return this.#kept
  }

  /** As `streamText`: the same texts, sooner. One at a time. */
  async *stream(
    prompt: Prompt,
    options: GenerationOptions = {},
    { signal }: RunOptions = {},
  ): AsyncGenerator<TextPiece> {
    const job = prepareStream(this.#model, this.#tokenizer, prompt, options)
    this.#kept = 0
    if (!job.model.facts.causal || !job.settings.useCache) {
      yield* streamJob(job, signal)
      return
    }
    if (this.#batch === undefined) this.#batch = startBatch(job)
    else this.#kept = this.#batch.takeUp(job.prompts[0])
    try {
      yield* streamJob(job, signal, this.#batch)
    } catch (error) {
      // Layers may have stopped in the midst of a token.
      this.forget()
      throw error
    }
  }

  /** Goes on with another model, or with the same one that was changed, as by an adapter: nothing is kept. */
  use(model: Model): void {
    this.#model = model
    this.forget()
  }

  forget(): void {
    this.#batch?.free()
    this.#batch = undefined
  }
}
