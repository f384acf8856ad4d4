// Conversations as token ids, with a mask of what the assistant says.
import { ConfigError } from '../../core/index.ts'
import type { Span } from '../text.ts'
import type { Tokenizer } from '../tokenizer.ts'
import { CHAT_TEMPLATES } from './presets.ts'
import { type ChatMessage, type RenderOptions, renderChat } from './render.ts'
import { renderWithSpans } from './spans.ts'

export { CHAT_TEMPLATES, type ChatTemplateName } from './presets.ts'
export { type ChatMessage, type RenderOptions, renderChat, templateSource } from './render.ts'
export { type ChatText, renderWithSpans } from './spans.ts'

export type ChatOptions = Omit<RenderOptions, 'template'> & {
  /** Jinja source or the name of a preset; the tokenizer's own by default. */
  template?: string
}

export interface Chat {
  text: string
  ids: number[]
  /** 1 for each token of an answer, its end-of-turn token included. */
  assistantMask: number[]
  /** The answers in `text`, as UTF-16 units. */
  spans: Span[]
}

const complete = (tokenizer: Tokenizer, options: ChatOptions): RenderOptions => {
  const template = options.template ?? tokenizer.chatTemplate
  if (template === undefined)
    throw new ConfigError(
      `Expected a chat template, got a tokenizer without one. Pass \`template\`: ${Object.keys(CHAT_TEMPLATES).join(', ')} or Jinja source.`,
    )
  const { bos, eos, pad, unk } = tokenizer.special
  const tokens = { bos_token: bos?.token, eos_token: eos?.token, pad_token: pad?.token, unk_token: unk?.token }
  const known = Object.fromEntries(Object.entries(tokens).filter(([, token]) => token !== undefined))
  return { ...options, template, variables: { ...known, ...options.variables } }
}

/** The text of a conversation by the tokenizer's template. Throws ConfigError. */
export const renderChatFor = (
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): string => renderChat(messages, complete(tokenizer, options))

/**
 * The token ids of a conversation and a mask of the assistant's tokens. The template writes the special tokens, so none
 * is added, and what messages say is text, also where it looks like one. Throws ConfigError, also when there are answers
 * of which no token is found.
 */
export const applyChatTemplate = (
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): Chat => {
  const ends = tokenizer.addedTokens.map(({ token }) => token.content)
  if (tokenizer.special.eos !== undefined) ends.push(tokenizer.special.eos.token)
  const { text, spans, contents } = renderWithSpans(messages, complete(tokenizer, options), ends)
  refuseHidden(tokenizer, messages, contents !== undefined)
  const { ids, offsets } = tokenizer.encode(text, { addSpecialTokens: false, literal: contents })
  const assistantMask = maskOf(offsets, spans)
  if (spans.length > 0 && !assistantMask.includes(1))
    throw new ConfigError('Expected tokens of the assistant in the conversation, got none. Check the chat template.')
  return { text, ids, assistantMask, spans }
}

/** Special tokens in messages can be taken for text only where it is known what of the text is theirs. */
const refuseHidden = (tokenizer: Tokenizer, messages: readonly ChatMessage[], known: boolean): void => {
  const specials = tokenizer.addedTokens.filter(({ token }) => token.special).map(({ token }) => token.content)
  for (const message of messages) {
    const { content, ...rest } = message
    const seen = JSON.stringify(known && typeof content === 'string' ? rest : message)
    const special = specials.find((token) => seen.includes(JSON.stringify(token).slice(1, -1)))
    if (special !== undefined)
      throw new ConfigError(
        `Expected messages without special tokens for a chat template that changes them, got ${special}. Take it out of the text, or choose another template.`,
      )
  }
}

/** 1 for each token that has a part in one of the spans, which are in order. */
const maskOf = (offsets: readonly Span[], spans: readonly Span[]): number[] => {
  let at = 0
  return offsets.map(([start, end]) => {
    while (at < spans.length && spans[at][1] <= start) at++
    return at < spans.length && end > spans[at][0] && start < spans[at][1] ? 1 : 0
  })
}
