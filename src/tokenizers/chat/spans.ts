// Finds what the assistant says in the text of a conversation, for any template: by the template's own generation tags,
// else by marks put around each answer, else by what an answer adds to the text before it.
// It knows no tokenizer.
import { ConfigError } from '../../core/index.ts'
import type { Span } from '../text.ts'
import { type ChatMessage, type RenderOptions, renderChat, templateSource } from './render.ts'

const GENERATION = /\{%(-?)\s*generation\s*(-?)%\}/g
const END_GENERATION = /\{%(-?)\s*endgeneration\s*(-?)%\}/g

export interface ChatText {
  text: string
  /** [start, end) of each answer, with the end-of-turn token that follows it. */
  spans: Span[]
  /** What messages say and not the template, in order; undefined where the template changes what they say. */
  contents: Span[] | undefined
}

/** Renders a conversation and says where the answers are. `ends` are the tokens that may end a turn. */
export const renderWithSpans = (
  messages: readonly ChatMessage[],
  options: RenderOptions,
  ends: readonly string[],
): ChatText => {
  const text = renderChat(messages, options)
  const source = templateSource(options.template)
  const marks = unusedCharacters(`${source}${text}`, 4)
  const marked = byMarks(messages, options, marks, text)
  const contents = marked && [...marked.answers, ...marked.others].sort((a, b) => a[0] - b[0])
  if (!messages.some(({ role }) => role === 'assistant')) return { text, spans: [], contents }
  const found =
    byGenerationTags(messages, options, source, [marks[0], marks[1]], text) ??
    answersByMarks(messages, marked, text, ends) ??
    byDifference(messages, options, text, ends)
  if (found === undefined || found.length === 0)
    throw new ConfigError(
      'Expected a chat template in whose text the answers can be found, got one without them. Mark them in the template with {% generation %} … {% endgeneration %}.',
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
    throw new ConfigError(`Expected text that leaves ${count} private characters free, got one with all.`)
  return free
}

/** The text without marks, and the spans between each pair of them. */
const takeOut = (marked: string, pairs: readonly Marks[]): { text: string; spans: Span[][] } => {
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
  // A block with the same trimming of white space stands in for each tag.
  const block = (mark: string) => (_: string, left: string, right: string) =>
    `{%${left} if true %}${mark}{% endif ${right}%}`
  const template = source.replace(GENERATION, block(marks[0])).replace(END_GENERATION, block(marks[1]))
  const { text, spans } = takeOut(renderChat(messages, { ...options, template }), [marks])
  const found = spans[0].filter(([start, end]) => end > start)
  return text === expected && found.length > 0 ? found : undefined
}

interface Marked {
  answers: Span[]
  others: Span[]
}

/** Where the contents of messages stand, by marks around each; undefined where the marks change what the template writes. */
const byMarks = (
  messages: readonly ChatMessage[],
  options: RenderOptions,
  [openAnswer, closeAnswer, openOther, closeOther]: readonly string[],
  expected: string,
): Marked | undefined => {
  const marked = messages.map((message) => {
    if (typeof message.content !== 'string') return message
    const isAnswer = message.role === 'assistant'
    // Inside the white space, which many templates trim.
    const [, before, core, after] = /^(\s*)([\s\S]*?)(\s*)$/.exec(message.content)!
    const [open, close] = isAnswer ? [openAnswer, closeAnswer] : [openOther, closeOther]
    return { ...message, content: `${before}${open}${core}${close}${after}` }
  })
  try {
    const { text, spans } = takeOut(renderChat(marked, options), [
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

/** The end of the turn that stops at `end`: after the token that follows, if it is one that may end a turn. */
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
    // White space after the turn's end is the template's, not the answer's.
    const end = after.trimEnd().length
    if (end > before.length) spans.push([before.length, endOfTurn(expected, end, ends)])
  }
  return spans
}

const commonStart = (a: string, b: string): string => {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return a.slice(0, length)
}
