// One text while it is generated: its tokens, its random stream, and when it ends. Independent of models and batches.
import { randomInt } from 'node:crypto'
import { createRandom, type Random } from '../core/index.ts'
import type { GenerationJob, GenerationResult } from './job.ts'
import { type FinishReason, TextAssembler } from './stopping.ts'

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
