// When a text ends, and what of it may be shown: end tokens, length, stop strings across token borders, and never half a character.
// Knows neither models nor scores.
import type { Tokenizer } from '../tokenizers/index.ts'

/** Why a text ended: an end token, a stop string, its length, or the caller's signal. */
export type FinishReason = 'eos' | 'stop' | 'length' | 'aborted'

/** Length of the longest end of `text` that begins one of `stops`. */
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

/** Tokens that may be waited for to complete a character; more of them are broken bytes and are shown as such. */
const longestCharacter = 8

/**
 * Turns tokens into text as they come. Shows nothing that a later token could change: bytes of an unfinished character and a
 * possible beginning of a stop string wait.
 */
export class TextAssembler {
  readonly #tokenizer: Pick<Tokenizer, 'decode'>
  readonly #stops: readonly string[]
  readonly #ids: number[] = []
  /** Tokens before `#from` are shown; those from `#context` on are decoded together, as spaces depend on neighbours. */
  #context = 0
  #from = 0
  #waiting = ''
  #text = ''
  #stopped = false

  constructor(tokenizer: Pick<Tokenizer, 'decode'>, stops: readonly string[]) {
    this.#tokenizer = tokenizer
    this.#stops = stops
  }

  /** Everything shown so far. */
  get text(): string {
    return this.#text
  }

  /** Whether a stop string came; nothing more is shown then. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** Adds a token; returns the text that it makes certain. */
  push(id: number): string {
    if (this.#stopped) return ''
    this.#ids.push(id)
    return this.#take(false)
  }

  /** No token follows: returns what was held back. */
  finish(): string {
    return this.#stopped ? '' : this.#take(true)
  }

  #decode(from: number, to: number): string {
    return this.#tokenizer.decode(this.#ids.slice(from, to), { skipSpecialTokens: true })
  }

  #take(last: boolean): string {
    const before = this.#decode(this.#context, this.#from)
    const now = this.#decode(this.#context, this.#ids.length)
    const partial = now.endsWith('\ufffd') && this.#ids.length - this.#from < longestCharacter
    if (!last && partial) return ''
    if (now.length > before.length) {
      this.#waiting += now.slice(before.length)
      this.#context = this.#from
      this.#from = this.#ids.length
    }
    return this.#show(last)
  }

  #show(last: boolean): string {
    let end = this.#waiting.length
    const found = this.#stops.map((stop) => this.#waiting.indexOf(stop)).filter((at) => at >= 0)
    if (found.length > 0) {
      this.#stopped = true
      end = Math.min(...found)
    } else if (!last) end -= overlap(this.#waiting, this.#stops)
    const shown = this.#waiting.slice(0, end)
    this.#waiting = this.#waiting.slice(end)
    this.#text += shown
    return shown
  }
}
