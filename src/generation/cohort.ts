// Texts of an encoder-decoder in a scheduler. The decoders of all texts that begin together are in step, since each
// begins with one token: they are one batch, which texts leave when they end.
import { noGrad, scope } from '../tensor/index.ts'
import type { DecodingBatch, LanguageModel } from './decoding-batch.ts'
import { startBatch } from './job.ts'
import type { ScheduledText } from './scheduled-text.ts'
import { chooseTokens, rowsAt, type TokenChoice } from './token-choice.ts'

/** Texts that began together, with one adapter. */
export class Cohort {
  readonly #batch: DecodingBatch
  #texts: readonly ScheduledText[]
  /** Tokens of each text that the batch has. */
  #length = 0

  /** Encodes the prompts of the texts, those of a group once. */
  constructor(model: LanguageModel, texts: readonly ScheduledText[]) {
    const groups = [...new Set(texts.map(({ group }) => group))]
    const { settings, tokenizer } = texts[0].job
    const maxNewTokens = Math.max(...texts.map(({ job }) => job.maxNewTokens))
    const prompts = groups.map(({ prompt }) => prompt)
    this.#batch = startBatch({ model, tokenizer, settings, prompts, maxNewTokens })
    this.#batch.select(texts.map(({ group }) => groups.indexOf(group)))
    this.#texts = texts
  }

  /** Whether texts can be in one cohort. */
  static fits(a: ScheduledText, b: ScheduledText): boolean {
    return a.adapter === b.adapter && a.job.settings.decoderStartTokenId === b.job.settings.decoderStartTokenId
  }

  /** The texts that have not ended. */
  get texts(): readonly ScheduledText[] {
    return this.#texts.filter(({ ended }) => !ended)
  }

  /** The next tokens. Texts that began anew first repeat the tokens that they have, and are not among the results. */
  step(): { text: ScheduledText; choice: TokenChoice }[] {
    const alive = this.#texts.flatMap((text, row) => (text.ended ? [] : [row]))
    if (alive.length < this.#texts.length) {
      this.#batch.select(alive)
      this.#texts = alive.map((row) => this.#texts[row])
    }
    const at = this.#length
    const rows = this.#texts.flatMap(({ text }, row) => (text.ids.length > at ? [] : [row]))
    const choices = scope(() => {
      const logits = this.#batch.nextLogits()
      const wanted = rows.length === this.#texts.length ? logits : noGrad(() => rowsAt(logits, rows))
      return rows.length === 0
        ? []
        : chooseTokens(
            wanted,
            rows.map((row) => this.#texts[row]),
          )
    })
    const chosen = rows.map((row, i) => ({ text: this.#texts[row], choice: choices[i], row }))
    const ids = this.#texts.map(({ text }) => text.ids[at])
    for (const { row, choice } of chosen) ids[row] = choice.id
    this.#batch.extend(ids)
    this.#length++
    return chosen.map(({ text, choice }) => ({ text, choice }))
  }

  free(): void {
    this.#batch.free()
  }
}
