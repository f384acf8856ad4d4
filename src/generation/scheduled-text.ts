// A request to the scheduler, and one text of it while it waits and grows: its tokens, its listeners and its end.
import type { Tensor } from '../tensor/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import type { GrowingText } from './growing-text.ts'
import type { AbortOptions, GenerationJob, GenerationResult, Prompt, TextPiece } from './job.ts'
import type { GenerationOptions } from './options.ts'
import type { ChoiceOptions, TokenChoice, TokenChooser } from './token-choice.ts'

/** A request to the scheduler. */
export interface GenerationRequest extends AbortOptions, ChoiceOptions {
  /** Text, which needs a tokenizer, or token ids. */
  prompt: Prompt
  /** For the prompt and the result as text (default: the scheduler's). */
  tokenizer?: Tokenizer
  /** Settings of this request alone. Beam search is not scheduled: call `generate`. */
  options?: GenerationOptions
  /** Name of an adapter, or null for the base (default: the model as it is). Needs the scheduler's `adapters`. */
  adapter?: string | null
  /** Texts that wait are begun in the order of this number, the lowest first, and then in their order of arrival (default: 0). */
  priority?: number
}

/** A text that is being generated: iterate for its pieces, or await `result`. */
export interface GenerationHandle extends AsyncIterable<TextPiece> {
  /** Tokens of the prompt that were not computed for this text, since another text had computed them. */
  readonly reusedTokens: number
  /** The whole text. A request that fails rejects, and no other one. */
  readonly result: Promise<GenerationResult>
  /** Ends the text; its result has what was generated, with the reason `aborted`. */
  cancel(): void
}

/** Texts of one prompt, which is computed once for all of them. */
export class PromptGroup {
  readonly prompt: readonly number[]
  /** Texts that have no token yet. */
  unstarted: number
  /** The text that computes the prompt. */
  leader: ScheduledText | undefined
  /** Slots whose cache begins with the prompt. */
  readonly slots = new Set<number>()
  #logits: Tensor | undefined

  constructor(prompt: readonly number[], size: number) {
    this.prompt = prompt
    this.unstarted = size
  }

  /** Logits after the prompt, float32 [1,V], while texts need them. */
  get logits(): Tensor | undefined {
    return this.#logits
  }

  set logits(logits: Tensor | undefined) {
    this.#logits?.free()
    this.#logits = logits
  }

  /** Forgets what was computed of the prompt. */
  reset(): void {
    this.logits = undefined
    this.leader = undefined
    this.slots.clear()
  }
}

interface Listener {
  resolve(result: IteratorResult<TextPiece>): void
  reject(error: unknown): void
}

/** Compares texts by priority, and then by arrival. */
export const inOrder = (a: ScheduledText, b: ScheduledText): number => a.priority - b.priority || a.number - b.number

/** One text of a request. */
export class ScheduledText implements GenerationHandle {
  readonly result: Promise<GenerationResult>
  readonly job: GenerationJob
  readonly text: GrowingText
  readonly group: PromptGroup
  readonly chooser: TokenChooser
  /** Undefined for the model as it is. */
  readonly adapter: string | null | undefined
  readonly priority: number
  /** Order of arrival. */
  readonly number: number
  /** Row of the cache while it is computed. */
  slot: number | undefined
  /** Names the weights that computed what is cached of it. */
  weights: string | undefined
  reusedTokens = 0
  readonly #onCancel: (text: ScheduledText) => void
  readonly #logProbs: number[] = []
  readonly #pieces: TextPiece[] = []
  readonly #listeners: Listener[] = []
  #resolve: (result: GenerationResult) => void = () => undefined
  #reject: (error: unknown) => void = () => undefined
  #ended = false
  #error: { cause: unknown } | undefined

  constructor(given: {
    job: GenerationJob
    text: GrowingText
    group: PromptGroup
    chooser: TokenChooser
    adapter: string | null | undefined
    priority: number | undefined
    number: number
    onCancel: (text: ScheduledText) => void
  }) {
    this.job = given.job
    this.text = given.text
    this.group = given.group
    this.chooser = given.chooser
    this.adapter = given.adapter
    this.priority = given.priority ?? 0
    this.number = given.number
    this.#onCancel = given.onCancel
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // Who reads the pieces gets the error from there.
    this.result.catch(() => undefined)
  }

  /** Whether it has ended, by itself or not. */
  get ended(): boolean {
    return this.#ended
  }

  /** Whether it has no token yet. */
  get unstarted(): boolean {
    return this.text.ids.length === 0
  }

  /** Adds a token. @returns whether the text ends with it */
  accept({ id, logProb, alternatives }: TokenChoice): boolean {
    if (this.unstarted) this.#start()
    if (logProb !== undefined) this.#logProbs.push(logProb)
    const text = this.text.append(id, this.job)
    this.#send({
      text,
      id,
      ...(logProb === undefined ? {} : { logProb }),
      ...(alternatives === undefined ? {} : { alternatives }),
    })
    return this.text.finishReason !== undefined
  }

  /** Ends the text with what it has. */
  finish(): void {
    if (this.#ended) return
    if (this.unstarted) this.#start()
    const rest = this.text.assembler?.finish() ?? ''
    const result = this.text.result()
    this.#send({ text: rest, id: undefined, finishReason: result.finishReason })
    this.#ended = true
    for (const { resolve } of this.#listeners.splice(0)) resolve({ done: true, value: undefined })
    this.#resolve(this.chooser.logProbs === undefined ? result : { ...result, logProbs: this.#logProbs })
  }

  /** Ends the text with an error. */
  fail(error: unknown): void {
    if (this.#ended) return
    if (this.unstarted) this.#start()
    this.#ended = true
    this.#error = { cause: error }
    for (const { reject } of this.#listeners.splice(0)) reject(error)
    this.#reject(error)
  }

  cancel(): void {
    if (!this.#ended) this.#onCancel(this)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TextPiece> {
    try {
      for (;;) {
        const next = await this.#next()
        if (next.done) return
        yield next.value
      }
    } finally {
      // Who leaves the loop needs no more text.
      this.cancel()
    }
  }

  #next(): Promise<IteratorResult<TextPiece>> {
    const piece = this.#pieces.shift()
    if (piece !== undefined) return Promise.resolve({ done: false, value: piece })
    if (this.#error !== undefined) return Promise.reject(this.#error.cause)
    if (this.#ended) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => this.#listeners.push({ resolve, reject }))
  }

  #send(piece: TextPiece): void {
    const listener = this.#listeners.shift()
    if (listener === undefined) this.#pieces.push(piece)
    else listener.resolve({ done: false, value: piece })
  }

  #start(): void {
    this.group.unstarted--
    if (this.group.unstarted === 0) this.group.logits = undefined
  }
}

/** A text that a signal can end. */
interface Cancellable {
  readonly result: Promise<unknown>
  cancel(): void
}

/** The signals of a scheduler's requests. */
export class AbortListeners {
  readonly #heard = new Map<AbortSignal, { texts: Set<Cancellable>; listener: () => void }>()

  /** Cancels the texts when the signal fires, or now if it has. */
  add(signal: AbortSignal, texts: readonly Cancellable[]): void {
    if (signal.aborted) {
      for (const text of texts) text.cancel()
      return
    }
    const entry = this.#heard.get(signal) ?? this.#listen(signal)
    for (const text of texts) entry.texts.add(text)
    void Promise.allSettled(texts.map(({ result }) => result)).then(() => {
      for (const text of texts) entry.texts.delete(text)
      if (entry.texts.size > 0) return
      this.#heard.delete(signal)
      signal.removeEventListener('abort', entry.listener)
    })
  }

  #listen(signal: AbortSignal) {
    const texts = new Set<Cancellable>()
    const listener = () => {
      for (const text of texts) text.cancel()
    }
    const entry = { texts, listener }
    this.#heard.set(signal, entry)
    signal.addEventListener('abort', listener, { once: true })
    return entry
  }
}
