// Finds the assistant's messages in a rendered conversation, for any template: by the template's own generation tags,
// else by what it writes while its loop is at each message, after the generation prompt, else by marker characters put
// around each message, else by comparing renderings with and without the message.
// Independent of the tokenizer.
import { ConfigError } from '../../core/index.ts'
import type { Span } from '../text.ts'
import type { Rendered } from './jinja/template.ts'
import { type ChatMessage, type RenderOptions, renderChat, renderParts, templateSource } from './render.ts'

/** A rendered conversation with the positions of its messages, as UTF-16 [start, end) spans of `text`. */
export interface ChatText {
  text: string
  /** Each assistant message, with the end-of-turn token that follows it. */
  spans: Span[]
  /** Contents of all messages, in order; undefined if the template changes them. */
  contents: Span[] | undefined
}

/** Renders a conversation and locates the assistant's messages. `ends` are the tokens that may end a turn. */
export const renderWithSpans = (
  messages: readonly ChatMessage[],
  options: RenderOptions,
  ends: readonly string[],
): ChatText => {
  const rendered = renderParts(messages, options)
  const { text } = rendered
  const source = templateSource(options.template)
  const marks = unusedCharacters(`${source}${text}`, 4)
  const marked = findContents(messages, options, marks, text)
  const contents = marked && [...marked.answers, ...marked.others].sort((a, b) => a[0] - b[0])
  if (!messages.some(({ role }) => role === 'assistant')) return { text, spans: [], contents }
  const found =
    byGenerationTags(rendered) ??
    byMessages(messages, options, rendered, ends) ??
    answersByMarks(messages, marked, text, ends) ??
    byDifference(messages, options, text, ends)
  if (found === undefined || found.length === 0)
    throw new ConfigError(
      'Cannot locate the assistant messages in the rendered chat: mark them in the template with {% generation %} … {% endgeneration %}.',
    )
  return { text, spans: found, contents }
}

type Marks = readonly [open: string, close: string]

const unusedCharacters = (text: string, count: number): string[] => {
  const free: string[] = []
  for (let code = 0xe000; code <= 0xf8ff && free.length < count; code++) {
    const character = String.fromCharCode(code)
    if (!text.includes(character)) free.push(character)
  }
  if (free.length < count)
    throw new ConfigError(
      `Cannot mark the messages: the conversation uses all private-use characters (U+E000 to U+F8FF). Remove some.`,
    )
  return free
}

/** Removes the markers; returns the text and the spans between each pair of markers. */
const removeMarks = (marked: string, pairs: readonly Marks[]): { text: string; spans: Span[][] } => {
  let text = ''
  const starts = pairs.map(() => -1)
  const spans: Span[][] = pairs.map(() => [])
  for (const part of marked.split(new RegExp(`([${pairs.flat().join('')}])`))) {
    const opened = pairs.findIndex(([open]) => open === part)
    const closed = pairs.findIndex(([, close]) => close === part)
    if (opened >= 0) starts[opened] = text.length
    else if (closed >= 0) {
      if (starts[closed] >= 0) spans[closed].push([starts[closed], text.length])
      starts[closed] = -1
    } else text += part
  }
  return { text, spans }
}

const byGenerationTags = ({ generations }: Rendered): Span[] | undefined => {
  const found = generations.filter(([start, end]) => end > start)
  return found.length > 0 ? found : undefined
}

/** What the template writes for each answer after the text with which a generation prompt begins it. */
const byMessages = (
  messages: readonly ChatMessage[],
  options: RenderOptions,
  { text, owned }: Rendered,
  ends: readonly string[],
): Span[] | undefined => {
  const prompt = generationPrompt(messages, options)
  if (prompt === '') return undefined
  const spans: Span[] = []
  for (const [i, { role }] of messages.entries()) {
    if (role !== 'assistant') continue
    const parts = owned.filter(({ owner }) => owner === i)
    if (parts.length !== 1) return undefined
    const [from, to] = parts[0].span
    // A prompt may begin the answer with more than its header, such as empty reasoning, which other turns do not have.
    const shared = commonStart(text.slice(from, to), prompt)
    const length = shared === prompt ? prompt.length : shared.lastIndexOf('\n') + 1
    if (length === 0) return undefined
    const start = from + length
    // White space after the turn belongs to the template, not to the message.
    const end = text.slice(0, to).trimEnd().length
    if (end <= start) return undefined
    const ended = ends.some((token) => token !== '' && text.slice(start, end).endsWith(token))
    spans.push([start, ended ? end : endOfTurn(text, end, ends)])
  }
  return spans
}

/** The text that a template adds to the messages before the first answer, for the next one; empty if it is not known. */
const generationPrompt = (messages: readonly ChatMessage[], options: RenderOptions): string => {
  const before = messages.slice(
    0,
    messages.findIndex(({ role }) => role === 'assistant'),
  )
  try {
    const without = renderChat(before, { ...options, addGenerationPrompt: false })
    const whole = renderChat(before, { ...options, addGenerationPrompt: true })
    return whole.startsWith(without) ? whole.slice(without.length) : ''
  } catch {
    return ''
  }
}

interface Marked {
  answers: Span[]
  others: Span[]
}

/** Positions of the message contents, by markers around each; undefined if the markers change the rendered text. */
const findContents = (
  messages: readonly ChatMessage[],
  options: RenderOptions,
  [openAnswer, closeAnswer, openOther, closeOther]: readonly string[],
  expected: string,
): Marked | undefined => {
  const marked = messages.map((message) => {
    if (typeof message.content !== 'string') return message
    const isAnswer = message.role === 'assistant'
    // Markers go inside the surrounding white space, because many templates trim it.
    const [, before, core, after] = /^(\s*)([\s\S]*?)(\s*)$/.exec(message.content)!
    const [open, close] = isAnswer ? [openAnswer, closeAnswer] : [openOther, closeOther]
    return { ...message, content: `${before}${open}${core}${close}${after}` }
  })
  try {
    const { text, spans } = removeMarks(renderChat(marked, options), [
      [openAnswer, closeAnswer],
      [openOther, closeOther],
    ])
    return text === expected ? { answers: spans[0], others: spans[1] } : undefined
  } catch {
    return undefined
  }
}

const answersByMarks = (
  messages: readonly ChatMessage[],
  marked: Marked | undefined,
  text: string,
  ends: readonly string[],
): Span[] | undefined => {
  const answers = messages.filter(({ role }) => role === 'assistant')
  const plain = answers.every(({ content, tool_calls }) => typeof content === 'string' && tool_calls === undefined)
  if (marked === undefined || !plain || marked.answers.length < answers.length) return undefined
  return marked.answers.map(([start, end]) => [start, endOfTurn(text, end, ends)])
}

/** The end of the turn whose content ends at `end`, including the end-of-turn token that may follow. */
const endOfTurn = (text: string, end: number, ends: readonly string[]): number => {
  const at = end + /^\s*/.exec(text.slice(end, end + 64))![0].length
  const token = ends.filter((candidate) => text.startsWith(candidate, at)).sort((a, b) => b.length - a.length)[0]
  return token === undefined ? end : at + token.length
}

const byDifference = (
  messages: readonly ChatMessage[],
  options: RenderOptions,
  expected: string,
  ends: readonly string[],
): Span[] | undefined => {
  const spans: Span[] = []
  for (const [i, { role }] of messages.entries()) {
    if (role !== 'assistant') continue
    const until = (count: number, addGenerationPrompt: boolean) =>
      renderChat(messages.slice(0, count), { ...options, addGenerationPrompt })
    let before: string
    let after: string
    try {
      before = until(i, true)
      after = until(i + 1, false)
    } catch {
      return undefined
    }
    if (!after.startsWith(before)) before = commonStart(before, after)
    if (!expected.startsWith(after.trimEnd()) || after.length <= before.length) return undefined
    // White space after the turn belongs to the template, not to the message.
    const end = after.trimEnd().length
    const ended = ends.some((token) => token !== '' && expected.slice(before.length, end).endsWith(token))
    if (end > before.length) spans.push([before.length, ended ? end : endOfTurn(expected, end, ends)])
  }
  return spans
}

const commonStart = (a: string, b: string): string => {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return a.slice(0, length)
}
