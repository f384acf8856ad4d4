// Conversations as token ids, with a mask of the assistant's tokens, and what ends a turn.
import { ConfigError, withoutUndefined } from '../../core/index.ts'
import { eosNames } from '../special-tokens.ts'
import type { Span } from '../text.ts'
import { encodeContinuation } from '../text-encoder.ts'
import type { Tokenizer } from '../tokenizer.ts'
import { CHAT_TEMPLATES, type ChatMessage, type RenderOptions, renderChat, templateSource } from './render.ts'
import { renderWithSpans } from './spans.ts'

export type { TemplateOptions } from './jinja/lexer.ts'
export { type Program, parseTemplate, type Rendered, runTemplate } from './jinja/template.ts'
export {
  CHAT_TEMPLATES,
  type ChatMessage,
  type ChatTemplateName,
  type RenderOptions,
  renderChat,
  templateSource,
} from './render.ts'
export { renderWithSpans } from './spans.ts'

/** Options of `applyChatTemplate` and `renderChatFor`. */
export type ChatOptions = Omit<RenderOptions, 'template'> & {
  /** Jinja source or the name of a preset (default: the tokenizer's own template). */
  template?: string
}

/** An encoded conversation. */
export interface EncodedChat {
  /** The rendered conversation. */
  text: string
  /** Token ids of `text`. */
  ids: number[]
  /** 1 for each token of an assistant message, including its end-of-turn token; 0 elsewhere. */
  assistantMask: number[]
  /** [start, end) of each assistant message in `text`, in UTF-16 units. */
  spans: Span[]
  /** For each token the number of its assistant message, from 0; -1 elsewhere. Undefined where the template does not show each once. */
  answers?: number[]
}

const completeOptions = (tokenizer: Tokenizer, options: ChatOptions): RenderOptions => {
  const template = options.template ?? tokenizer.chatTemplate
  if (template === undefined)
    throw new ConfigError(
      `The tokenizer has no chat template: pass \`template\` (${Object.keys(CHAT_TEMPLATES).join(', ')}, or Jinja source).`,
    )
  const { bos, eos, pad, unk } = tokenizer.special
  const tokens = { bos_token: bos?.token, eos_token: eos?.token, pad_token: pad?.token, unk_token: unk?.token }
  return { ...options, template, variables: { ...withoutUndefined(tokens), ...options.variables } }
}

/** Renders a conversation as text with the tokenizer's chat template. Throws ConfigError. */
export const renderChatFor = (
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): string => renderChat(messages, completeOptions(tokenizer, options))

/**
 * Encodes a conversation with its chat template, and marks the assistant's tokens. Special tokens come from the
 * template only: the tokenizer adds none, and text in messages that looks like a special token is encoded as plain
 * text. Throws ConfigError, also if the template leaves no token of the assistant's messages.
 */
export const applyChatTemplate = (
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): EncodedChat => {
  const { text, spans, contents } = renderWithSpans(messages, completeOptions(tokenizer, options), endsOf(tokenizer))
  rejectSpecialTokens(tokenizer, messages, contents !== undefined)
  const { ids, offsets } = tokenizer.encode(text, { addSpecialTokens: false, literal: contents })
  const numbers = spanOf(offsets, spans)
  const assistantMask = numbers.map((number) => (number < 0 ? 0 : 1))
  if (spans.length > 0 && !assistantMask.includes(1))
    throw new ConfigError('Expected assistant tokens in the rendered conversation, got none. Check the chat template.')
  const count = messages.filter(({ role }) => role === 'assistant').length
  return { text, ids, assistantMask, spans, ...(spans.length === count ? { answers: numbers } : {}) }
}

/** A conversation as text, with the places of the message contents where the template shows them. */
const renderPrompt = (messages: readonly ChatMessage[], options: RenderOptions, ends: readonly string[]) => {
  try {
    return renderWithSpans(messages, options, [...ends])
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { text: renderChat(messages, options), contents: undefined }
  }
}

/**
 * Encodes a conversation up to the beginning of the next answer. Unlike `applyChatTemplate` it marks no answers, so any
 * template will do: where the contents cannot be found in the text, only special tokens in messages are refused.
 * Throws ConfigError.
 */
export const encodeChatPrompt = (
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): number[] => {
  const complete = { ...completeOptions(tokenizer, options), addGenerationPrompt: true }
  const { text, contents } = renderPrompt(messages, complete, endsOf(tokenizer))
  rejectSpecialTokens(tokenizer, messages, contents !== undefined)
  return Array.from(tokenizer.encode(text, { addSpecialTokens: false, literal: contents }).ids)
}

/** An answer to a prompt, encoded as the continuation of the prompt. */
export interface EncodedAnswer {
  /** The answer up to its end token, which is included; what the template writes after it is left out. */
  ids: number[]
  /** Whether the rendered conversation begins with the rendered prompt. */
  continues: boolean
}

/**
 * Encodes an answer as the continuation of the rendered prompt with the start of the answer's turn, as in generation: no
 * token spans both. Throws ConfigError as `applyChatTemplate` does.
 */
export const encodeChatAnswer = (
  tokenizer: Tokenizer,
  prompt: readonly ChatMessage[],
  answer: string | ChatMessage,
  options: ChatOptions = {},
): EncodedAnswer => {
  const complete = completeOptions(tokenizer, options)
  const before = renderChat(prompt, { ...complete, addGenerationPrompt: true })
  const messages = [...prompt, typeof answer === 'string' ? { role: 'assistant', content: answer } : answer]
  const { text, spans, contents } = renderWithSpans(messages, complete, endsOf(tokenizer))
  rejectSpecialTokens(tokenizer, messages, contents !== undefined)
  const [start, end] = spans[spans.length - 1]
  const continues = text.startsWith(before)
  const from = continues ? before.length : start
  const literal = contents
    ?.filter((span) => span[1] > from && span[0] < end)
    .map((span): Span => [Math.max(0, span[0] - from), Math.min(end, span[1]) - from])
  return { ids: encodeContinuation(tokenizer, text.slice(from, end), literal), continues }
}

/** How `encodeNextTurns` continues a conversation. */
export interface NextTurnsOptions extends ChatOptions {
  /** Index of the answer that the turns follow. */
  after: number
  /** Whether the ids of that answer already end with the end token of its turn. */
  ended: boolean
}

const placeholder = 'So it is.'

/**
 * Encodes the turns after an answer as the continuation of the conversation, up to the beginning of the next answer. The
 * tokens of the answers themselves are those that the model wrote, so their texts play no part: only the template's text
 * after the answer is encoded. Throws ConfigError as `applyChatTemplate` does.
 */
export const encodeNextTurns = (
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  { after, ended, ...options }: NextTurnsOptions,
): number[] => {
  const complete = { ...completeOptions(tokenizer, options), addGenerationPrompt: true }
  const neutral = messages.map((message) =>
    message.role === 'assistant' ? { ...message, content: placeholder } : message,
  )
  const { text, spans, contents } = renderWithSpans(neutral, complete, endsOf(tokenizer))
  rejectSpecialTokens(tokenizer, neutral, contents !== undefined)
  const answers = messages.slice(0, after + 1).filter(({ role }) => role === 'assistant').length
  const span = spans[answers - 1]
  if (messages[after]?.role !== 'assistant' || span === undefined)
    throw new ConfigError(
      'Expected an answer before the next turns, got none in the rendered chat. Check the chat template.',
    )
  const from = ended ? endOfAnswer(text, span, endsOf(tokenizer)) : startOfEnd(text, span, endsOf(tokenizer))
  const literal = contents?.filter((one) => one[0] >= from).map(([start, stop]): Span => [start - from, stop - from])
  return encodeContinuation(tokenizer, text.slice(from), literal)
}

/** The longest of the tokens that a text has at a position, before or after it. */
const longest = (tokens: readonly string[], matches: (token: string) => boolean): string | undefined =>
  tokens.filter((token) => token !== '' && matches(token)).sort((a, b) => b.length - a.length)[0]

/** Where the end token of an answer begins; the end of the answer without one. */
const startOfEnd = (text: string, [start, end]: Span, ends: readonly string[]): number => {
  const answer = text.slice(start, end)
  return end - (longest(ends, (token) => answer.endsWith(token))?.length ?? 0)
}

/** The end of an answer with its end token, which generation tags may leave out. */
const endOfAnswer = (text: string, span: Span, ends: readonly string[]): number => {
  const [, end] = span
  if (startOfEnd(text, span, ends) < end) return end
  return end + (longest(ends, (token) => text.startsWith(token, end))?.length ?? 0)
}

const endsOf = (tokenizer: Tokenizer): string[] => {
  const ends = tokenizer.addedTokens.map(({ token }) => token.content)
  if (tokenizer.special.eos !== undefined) ends.push(tokenizer.special.eos.token)
  return ends
}

/**
 * Throws if a message holds a special token that cannot be encoded as plain text: that needs the positions of the
 * message contents in the rendered text (`known`).
 */
const rejectSpecialTokens = (tokenizer: Tokenizer, messages: readonly ChatMessage[], known: boolean): void => {
  const specials = tokenizer.addedTokens.filter(({ token }) => token.special).map(({ token }) => token.content)
  for (const message of messages) {
    const { content, ...rest } = message
    const seen = JSON.stringify(known && typeof content === 'string' ? rest : message)
    const special = specials.find((token) => seen.includes(JSON.stringify(token).slice(1, -1)))
    if (special !== undefined)
      throw new ConfigError(
        `Expected messages without special tokens, because the chat template changes their text, got ${special}. Remove it from the message, or use another template.`,
      )
  }
}

/** The number of the span that each token overlaps, or -1; spans are sorted. */
const spanOf = (offsets: readonly Span[], spans: readonly Span[]): number[] => {
  let at = 0
  return offsets.map(([start, end]) => {
    while (at < spans.length && spans[at][1] <= start) at++
    return at < spans.length && end > spans[at][0] && start < spans[at][1] ? at : -1
  })
}

/** What ends an assistant turn. */
export interface TurnEnds {
  /** Ids of end tokens, including the tokenizer's own. */
  ids: number[]
  /** Stop strings: text that starts the next turn, for templates without an end token. */
  stop: string[]
}

const question = 'Why is that so?'

/**
 * The end tokens and stop strings of a chat template. A template that cannot render gives the tokenizer's end token.
 */
export const turnEnds = (tokenizer: Tokenizer, options: Pick<ChatOptions, 'template'> = {}): TurnEnds => {
  const { eos } = tokenizer.special
  const ids = new Set(eos === undefined ? [] : [eos.id])
  let text: string
  try {
    text = renderChatFor(
      tokenizer,
      [
        { role: 'user', content: 'Is it?' },
        { role: 'assistant', content: placeholder },
        { role: 'user', content: question },
      ],
      options,
    )
  } catch {
    return { ids: [...ids], stop: [] }
  }
  const from = text.indexOf(placeholder) + placeholder.length
  const to = text.indexOf(question, from)
  if (from < placeholder.length || to < from) return { ids: [...ids], stop: [] }
  let between = text.slice(from, to)
  const specials = tokenizer.addedTokens.map(({ token: { content }, id }) => ({ content, id }))
  if (eos !== undefined) specials.push({ content: eos.token, id: eos.id })
  const trimmed = between.trimStart()
  const end = specials
    .filter(({ content }) => content !== '' && trimmed.startsWith(content))
    .sort((a, b) => b.content.length - a.content.length)[0]
  if (end !== undefined) {
    ids.add(end.id)
    between = trimmed.slice(end.content.length)
  }
  // The first line that is not blank, with the line breaks before it. Special tokens do not appear in decoded text.
  const mark = /^\s*\S[^\n]*/.exec(between)?.[0].trimEnd()
  const shows = mark !== undefined && !specials.some(({ content }) => mark.includes(content))
  return { ids: [...ids], stop: shows ? [mark] : [] }
}

/** The token that can end an answer: the end token, else the separator of BERT's tokenizers, else an end token without a role. */
const endTokenOf = ({ special: { eos, sep }, addedTokens }: Tokenizer): string | undefined =>
  eos?.token ?? sep?.token ?? eosNames.find((name) => addedTokens.some(({ token: { content } }) => content === name))

/**
 * A preset as it fits the tokenizer: with the start token, if the tokenizer adds one to every text, and with another token that ends
 * answers, if the tokenizer has no end token. Other templates are returned as is.
 */
export const fitTemplate = (tokenizer: Tokenizer, template: string): string => {
  const source = templateSource(template)
  if (source === template) return template
  const { bos, eos } = tokenizer.special
  const end = endTokenOf(tokenizer)
  const ended = eos === undefined && end !== undefined ? source.replaceAll('eos_token', `'${end}'`) : source
  const adds = bos !== undefined && tokenizer.encode('a').ids[0] === bos.id
  return adds && !source.includes('bos_token') ? `{{ bos_token }}${ended}` : ended
}
