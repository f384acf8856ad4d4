// Finds the assistant's messages in a rendered conversation, for any template: by the template's own generation tags,
// else by marker characters put around each message, else by comparing renderings with and without the message.
// Independent of the tokenizer.
import { ConfigError } from '../../core/index.ts'
import type { Span } from '../text.ts'
import { type ChatMessage, type RenderOptions, renderChat, templateSource } from './render.ts'

const GENERATION = /\{%(-?)\s*generation\s*(-?)%\}/g
const END_GENERATION = /\{%(-?)\s*endgeneration\s*(-?)%\}/g

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
  const text = renderChat(messages, options)
  const source = templateSource(options.template)
  const marks = unusedCharacters(`${source}${text}`, 4)
  const marked = findContents(messages, options, marks, text)
  const contents = marked && [...marked.answers, ...marked.others].sort((a, b) => a[0] - b[0])
  if (!messages.some(({ role }) => role === 'assistant')) return { text, spans: [], contents }
  const found =
    byGenerationTags(messages, options, source, [marks[0], marks[1]], text) ??
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

const byGenerationTags = (
  messages: readonly ChatMessage[],
  options: RenderOptions,
  source: string,
  marks: Marks,
  expected: string,
): Span[] | undefined => {
  if (source.match(GENERATION) === null) return undefined
  // Replace each tag by a block with the same white-space control that writes a marker.
  const block = (mark: string) => (_: string, left: string, right: string) =>
    `{%${left} if true %}${mark}{% endif ${right}%}`
  const template = source.replace(GENERATION, block(marks[0])).replace(END_GENERATION, block(marks[1]))
  const { text, spans } = removeMarks(renderChat(messages, { ...options, template }), [marks])
  const found = spans[0].filter(([start, end]) => end > start)
  return text === expected && found.length > 0 ? found : undefined
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
