// One conversation with a model: what was said, which adapter answers, and what of it the model still sees when there is no more room.
// Knows no terminal.
import { ConfigError } from '../../core/index.ts'
import { type FinishReason, type GenerationOptions, TextSession } from '../../generation/index.ts'
import type { Model } from '../../models/index.ts'
import { applyChatTemplate, CHAT_TEMPLATES, type Tokenizer, turnEnds, withStart } from '../../tokenizers/index.ts'
import type { AdapterChoice } from './named-adapters.ts'

export interface Message {
  role: 'system' | 'user' | 'assistant'
  content: string
}

export interface ChatAnswer {
  role: 'assistant'
  content: string
  adapter: string
  finishReason: FinishReason
  promptTokens: number
  /** Tokens of the prompt that were known from the turns before. */
  keptTokens: number
  newTokens: number
  /** Until the first token. */
  secondsToFirst: number
  seconds: number
  /** Of new tokens, the reading of the prompt left out where there are several. */
  tokensPerSecond: number
  /** Messages at the beginning that the model no longer sees. */
  forgottenMessages: number
}

export interface ConversationOptions {
  template?: string
  system?: string
  settings: GenerationOptions
  /** Tokens that the model sees at most, the answer included. */
  context?: number
}

export class Conversation {
  readonly #adapters: AdapterChoice
  readonly #options: ConversationOptions
  readonly #session: TextSession
  readonly #maxPositions: number | undefined
  #system: string | undefined
  #messages: Message[] = []
  /** Where what the model sees begins, the system's words aside. */
  #from = 0
  #answers = 0

  /** @throws ConfigError without any chat template */
  constructor(model: Model, adapters: AdapterChoice, options: ConversationOptions) {
    this.#adapters = adapters
    this.#options = options
    this.#system = options.system
    this.#maxPositions = options.context ?? model.facts.maxPositions
    this.#session = new TextSession(model, adapters.tokenizer)
    // Says at once what is wrong with a template.
    this.#render([{ role: 'user', content: 'Hello.' }])
  }

  get adapter(): string {
    return this.#adapters.active
  }

  get adapterNames(): string[] {
    return this.#adapters.names
  }

  get system(): string | undefined {
    return this.#system
  }

  /** Other words of the system, from the next answer on. */
  set system(text: string | undefined) {
    this.#system = text
  }

  /** All that was said, the system's words in front. */
  get messages(): readonly Message[] {
    return [...this.#systemTurn(), ...this.#messages]
  }

  /** @throws ConfigError for a name that is not known */
  useAdapter(name: string): void {
    this.#session.use(this.#adapters.use(name))
  }

  add(message: Message): void {
    if (message.role === 'system') this.#system = message.content
    else this.#messages.push(message)
  }

  /** Forgets what was said; the system's words stay. */
  reset(): void {
    this.#messages = []
    this.#from = 0
  }

  /** Takes back the last answer. @throws ConfigError where there is none */
  takeBack(): void {
    const last = this.#messages.findLastIndex(({ role }) => role === 'user')
    if (last < 0) throw new ConfigError('Expected a message before `/retry`, got none. Write one.')
    this.#messages.length = last + 1
    this.#from = Math.min(this.#from, last)
  }

  /** Answers what was said; text comes through `onText`. A text that was stopped stays as it is. */
  async answer(onText: (text: string) => void, signal: AbortSignal): Promise<ChatAnswer> {
    const last = this.#messages.at(-1)
    if (last?.role !== 'user') throw new ConfigError('Expected a message of the user to answer, got none.')
    const from = this.#from
    try {
      return await this.#answerTo(onText, signal)
    } catch (error) {
      // What cannot be answered was not said, and nothing gave way to it.
      this.#messages.pop()
      this.#from = from
      throw error
    }
  }

  async #answerTo(onText: (text: string) => void, signal: AbortSignal): Promise<ChatAnswer> {
    const tokenizer = this.#tokenizer
    const ends = turnEnds(tokenizer, { template: this.#template })
    const { eosTokenIds = [], stop = [], seed, ...settings } = this.#options.settings
    const prompt = this.#fit(settings.maxNewTokens ?? 128)
    const started = performance.now()
    let first: number | undefined
    const ids: number[] = []
    let content = ''
    let finishReason: FinishReason = 'aborted'
    const options: GenerationOptions = {
      ...settings,
      // Another answer to the same message draws otherwise.
      ...(typeof seed === 'number' ? { seed: seed + this.#answers } : {}),
      eosTokenIds: [...new Set([...[eosTokenIds].flat(), ...ends.ids])],
      stop: [...new Set([...[stop].flat(), ...ends.stop])],
    }
    for await (const piece of this.#session.stream(prompt, options, { signal })) {
      first ??= performance.now()
      // Templates put what they want between their own words and the answer's.
      const text = content === '' ? piece.text.trimStart() : piece.text
      content += text
      if (text !== '') onText(text)
      if (piece.id !== undefined) ids.push(piece.id)
      finishReason = piece.finishReason ?? finishReason
    }
    const ended = performance.now()
    const decoding = ended - (first ?? ended)
    this.#answers++
    this.#messages.push({ role: 'assistant', content: content.trimEnd() })
    return {
      role: 'assistant',
      content: content.trimEnd(),
      adapter: this.adapter,
      finishReason,
      promptTokens: prompt.length,
      keptTokens: this.#session.kept,
      newTokens: ids.length,
      secondsToFirst: ((first ?? ended) - started) / 1000,
      seconds: (ended - started) / 1000,
      tokensPerSecond:
        ids.length > 1 && decoding > 0
          ? (1000 * (ids.length - 1)) / decoding
          : (1000 * ids.length) / Math.max(1, ended - started),
      forgottenMessages: this.#from,
    }
  }

  get #tokenizer(): Tokenizer {
    return this.#adapters.tokenizer
  }

  get #template(): string {
    const template = this.#options.template ?? this.#adapters.template
    if (template !== undefined) return withStart(this.#tokenizer, template)
    throw new ConfigError(
      `Expected a chat template for \`chat\`, got a model without one. Name one: --template ${Object.keys(CHAT_TEMPLATES).join('|')}, as it was trained.`,
    )
  }

  #systemTurn(): Message[] {
    return this.#system === undefined ? [] : [{ role: 'system', content: this.#system }]
  }

  #render(messages: readonly Message[]): number[] {
    const { ids } = applyChatTemplate(this.#tokenizer, [...this.#systemTurn(), ...messages] as never, {
      template: this.#template,
      addGenerationPrompt: true,
    })
    return Array.from(ids)
  }

  /** The prompt, with room for an answer. The oldest turns give way, more than must, so that what stays is not read again each time. */
  #fit(maxNewTokens: number): number[] {
    let prompt = this.#render(this.#messages.slice(this.#from))
    const positions = this.#maxPositions
    if (positions === undefined) return prompt
    const most = positions - Math.min(maxNewTokens, Math.ceil(positions / 4))
    if (prompt.length <= most) return prompt
    while (prompt.length > (most * 3) / 4) {
      const next = this.#messages.findIndex(({ role }, i) => i > this.#from && role === 'user')
      if (next < 0) break
      this.#from = next
      prompt = this.#render(this.#messages.slice(next))
    }
    if (prompt.length > most)
      throw new ConfigError(
        `Expected a message of at most ${most} tokens beside ${positions - most} for the answer, as the model takes ${positions} in all, got ${prompt.length}. Shorten it.`,
      )
    return prompt
  }
}
