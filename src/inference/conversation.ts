// `chat` as a function: a conversation with a chat model or an instruction-tuned specialist, with its messages, the active adapter, and which
// messages still fit the model's context.
import { ConfigError, optionCheck } from '../core/index.ts'
import { type FinishReason, type GenerationOptions, TextSession, withDefaults } from '../generation/index.ts'
import { contextLength, type Model } from '../models/index.ts'
import { applyChatTemplate, CHAT_TEMPLATES, fitTemplate, type Tokenizer, turnEnds } from '../tokenizers/index.ts'
import { generationDefaults } from './generation-defaults.ts'
import { type InferenceModel, type LoadHooks, loadLanguageModel, type ModelChoice, modelChoiceNames } from './load.ts'
import { AdapterSwitch, parseAdapters } from './named-adapters.ts'

/** One message of a conversation. */
export interface Message {
  role: 'system' | 'user' | 'assistant'
  content: string
}

/** The model's reply, with its counts and timings. */
export interface ChatAnswer {
  role: 'assistant'
  content: string
  /** The adapter that replied, or `base`. */
  adapter: string
  finishReason: FinishReason
  /** The limit that cut the reply off; absent when the model ended it, or the caller. */
  cutBy?: 'maxNewTokens' | 'context'
  promptTokens: number
  /** Prompt tokens whose keys and values were reused from the turns before. */
  reusedTokens: number
  newTokens: number
  /** Time to the first token. */
  secondsToFirst: number
  seconds: number
  /** Rate of new tokens, without the prompt's prefill when there are several. */
  tokensPerSecond: number
  /** Messages at the beginning that no longer fit the context. */
  droppedMessages: number
}

/** How a conversation is held. */
export interface ConversationOptions {
  /** Chat template: a preset's name or Jinja source (default: the model's own). */
  template?: string
  /** System prompt. */
  system?: string
  /** Generation settings; without `maxNewTokens` a reply may fill the context. */
  settings: GenerationOptions
  /** Context window in tokens, the reply included (default: the model's positions). */
  context?: number
}

/** Most tokens of the context that are kept free for a reply whose length has no limit. */
const reservedTokens = 1024

/** A conversation with one model; keys and values of unchanged messages are reused from turn to turn. */
export class Conversation {
  readonly #adapters: AdapterSwitch
  readonly #options: ConversationOptions
  readonly #session: TextSession
  readonly #maxPositions: number | undefined
  #system: string | undefined
  #messages: Message[] = []
  /** Index of the first message that still fits the context; the system prompt always stays. */
  #from = 0
  #answers = 0

  /** @throws ConfigError without any chat template */
  constructor(model: Model, adapters: AdapterSwitch, options: ConversationOptions) {
    this.#adapters = adapters
    this.#options = options
    this.#system = options.system
    this.#maxPositions = options.context ?? model.facts.maxPositions
    this.#session = new TextSession(model, adapters.tokenizer)
    // Reports a faulty template before the first message.
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

  /** Replaces the system prompt from the next reply on. */
  set system(text: string | undefined) {
    this.#system = text
  }

  /** All messages, the system prompt first. */
  get messages(): readonly Message[] {
    return [...this.#systemTurn(), ...this.#messages]
  }

  /** Switches to another adapter, or to `base`. @throws ConfigError for an unknown name */
  useAdapter(name: string): void {
    this.#session.setModel(this.#adapters.use(name))
  }

  /** Adds a message; a system message replaces the system prompt. */
  add(message: Message): void {
    if (message.role === 'system') this.#system = message.content
    else this.#messages.push(message)
  }

  /** Removes all messages; the system prompt stays. */
  reset(): void {
    this.#messages = []
    this.#from = 0
  }

  /** Removes the last reply, so that `answer` writes another one. @throws ConfigError when there is none */
  removeLastReply(): void {
    const last = this.#messages.findLastIndex(({ role }) => role === 'user')
    if (last < 0) throw new ConfigError('`/retry` needs a message to reply to: write one first.')
    this.#messages.length = last + 1
    this.#from = Math.min(this.#from, last)
  }

  /**
   * Replies to the last message and streams the text to `onText`. A reply that is stopped by the signal is kept as far as it got.
   * @throws ConfigError when the last message is not the user's, or is too long
   */
  async answer(
    onText: (text: string) => void = () => {},
    signal: AbortSignal = new AbortController().signal,
  ): Promise<ChatAnswer> {
    const last = this.#messages.at(-1)
    if (last?.role !== 'user') throw new ConfigError('A reply needs a message of the user: add one first.')
    const from = this.#from
    try {
      return await this.#answerTo(onText, signal)
    } catch (error) {
      // A message that failed is removed again, and no earlier message is dropped for it.
      this.#messages.pop()
      this.#from = from
      throw error
    }
  }

  async #answerTo(onText: (text: string) => void, signal: AbortSignal): Promise<ChatAnswer> {
    const tokenizer = this.#tokenizer
    const ends = turnEnds(tokenizer, { template: this.#template })
    const { eosTokenIds = [], stop = [], seed, maxNewTokens, minNewTokens, ...settings } = this.#options.settings
    const prompt = this.#fit(maxNewTokens ?? reservedTokens)
    const space = this.#maxPositions === undefined ? Number.MAX_SAFE_INTEGER : this.#maxPositions - prompt.length
    const most = Math.min(maxNewTokens ?? space, space)
    const started = performance.now()
    let first: number | undefined
    const ids: number[] = []
    let content = ''
    let finishReason: FinishReason = 'aborted'
    const options: GenerationOptions = {
      ...settings,
      maxNewTokens: most,
      ...(minNewTokens === undefined ? {} : { minNewTokens: Math.min(minNewTokens, space) }),
      // Another reply to the same message samples with another seed.
      ...(typeof seed === 'number' ? { seed: seed + this.#answers } : {}),
      eosTokenIds: [...new Set([...[eosTokenIds].flat(), ...ends.ids])],
      stop: [...new Set([...[stop].flat(), ...ends.stop])],
    }
    for await (const piece of this.#session.stream(prompt, options, { signal })) {
      first ??= performance.now()
      // Templates may write white space between the role's header and the reply.
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
      ...(finishReason === 'length' ? { cutBy: most === maxNewTokens ? 'maxNewTokens' : 'context' } : {}),
      promptTokens: prompt.length,
      reusedTokens: this.#session.reusedTokens,
      newTokens: ids.length,
      secondsToFirst: ((first ?? ended) - started) / 1000,
      seconds: (ended - started) / 1000,
      tokensPerSecond:
        ids.length > 1 && decoding > 0
          ? (1000 * (ids.length - 1)) / decoding
          : (1000 * ids.length) / Math.max(1, ended - started),
      droppedMessages: this.#from,
    }
  }

  get #tokenizer(): Tokenizer {
    return this.#adapters.tokenizer
  }

  get #template(): string {
    const template = this.#options.template ?? this.#adapters.template
    if (template !== undefined) return fitTemplate(this.#tokenizer, template)
    throw new ConfigError(
      `\`chat\` needs a chat template, and this model has none: set \`template\` to the one it was trained with (${Object.keys(CHAT_TEMPLATES).join(', ')}, or Jinja source).`,
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

  /**
   * The prompt, with space for a reply. When messages no longer fit, the oldest turns are dropped down to three quarters of the space,
   * so that the cache of what stays is not rebuilt at every turn.
   */
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
        `Expected a message of at most ${most} tokens, got ${prompt.length}: ${positions - most} of the context's ${positions} tokens are reserved for the reply. Shorten the message.`,
      )
    return prompt
  }
}

/** With which model, and how, a conversation is held. */
export interface ChatInput extends ModelChoice {
  /** System prompt. */
  system?: string
  /** Chat template: a preset's name or Jinja source (default: the model's own). */
  template?: string
  /** Context window in tokens, the reply included (default: the length the model was trained with). */
  context?: number
  /** Adapters to switch between, each `NAME=FOLDER`; the first one is active. */
  adapters?: readonly string[]
  /** Generation settings over the model's own defaults. */
  generation?: GenerationOptions
}

/** How a conversation is held with a model that is in memory. */
export type OpenedChatInput = Omit<ChatInput, 'model' | 'task' | 'revision' | 'weights'>

const openedNames = {
  device: true,
  system: true,
  template: true,
  context: true,
  adapters: true,
  generation: true,
} as const

const expectInput = optionCheck<ChatInput>('chat', { ...modelChoiceNames, ...openedNames })

const expectOpenedInput = optionCheck<OpenedChatInput>('chat', openedNames)

/** Rotary positions have no upper bound, but quality drops beyond the trained length. */
const contextOf = (model: Model, requested: number | undefined): number | undefined => {
  const { maxPositions } = model.facts
  if (requested !== undefined && maxPositions !== undefined && requested > maxPositions)
    throw new ConfigError(
      `Expected at most ${maxPositions} for \`context\`, the number of positions of the model, got ${requested}.`,
    )
  return requested ?? contextLength(model)
}

/** A conversation with a model that is in memory. @throws ConfigError for unknown options, and for a model that cannot chat */
export const chatWith = async (
  loaded: InferenceModel,
  input: OpenedChatInput,
  hooks: LoadHooks = {},
): Promise<Conversation> => {
  expectOpenedInput(input)
  const { system, template, context, adapters = [], generation = {}, device } = input
  const { model } = loaded
  if (!model.facts.causal)
    throw new ConfigError(
      `Expected a decoder-only language model for \`chat\`, got ${model.definition.type}. Use \`generate\` for a model with an encoder and a decoder.`,
    )
  const adapterSwitch = await AdapterSwitch.load(loaded, parseAdapters(adapters), { device, ...hooks })
  return new Conversation(model, adapterSwitch, {
    template,
    system,
    context: contextOf(model, context),
    settings: withDefaults(await generationDefaults(loaded), generation),
  })
}

/**
 * Loads a model and opens a conversation with it.
 * @throws ConfigError for a model that cannot chat, CheckpointError for files that cannot be loaded
 */
export const chat = async (chosen: ChatInput, hooks: LoadHooks = {}): Promise<Conversation> => {
  expectInput(chosen)
  const { model, task, revision, weights, ...input } = chosen
  parseAdapters(input.adapters ?? [])
  const loaded = await loadLanguageModel({ model, task, revision, weights, device: input.device }, hooks)
  return chatWith(loaded, input, hooks)
}
