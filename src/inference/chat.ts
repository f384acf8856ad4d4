// `chat` as a function: a conversation with a chat model or an instruction-tuned specialist.
import { ConfigError, optionCheck } from '../core/index.ts'
import { type GenerationOptions, withDefaults } from '../generation/index.ts'
import { contextLength, type Model } from '../models/index.ts'
import { Conversation } from './conversation.ts'
import { generationDefaults } from './generation-defaults.ts'
import { type InferenceModel, type LoadHooks, loadLanguageModel, type ModelChoice } from './load.ts'
import { AdapterSwitch, parseAdapters } from './named-adapters.ts'

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

const expectInput = optionCheck<ChatInput>('chat', {
  model: true,
  task: true,
  revision: true,
  weights: true,
  ...openedNames,
})

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
