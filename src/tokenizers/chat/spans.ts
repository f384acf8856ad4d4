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
}

/** Renders a conversation and says where the answers are. `ends` are the tokens that may end a turn. */
export function renderWithSpans(
  messages: readonly ChatMessage[],
  options: RenderOptions,
  ends: readonly string[],
): ChatText {
  const text = renderChat(messages, options)
  const source = templateSource(options.template)
  if (!messages.some(({ role }) => role === 'assistant')) return { text, spans: [] }
  const marks = unusedCharacters(`${source}${text}`)
  const found =
    byGenerationTags(messages, options, source, marks, text) ??
    byMarks(messages, options, marks, text, ends) ??
    byDifference(messages, options, text, ends)
  if (found === undefined || found.length === 0)
    throw new ConfigError(
      'Expected a chat template in whose text the answers can be found, got one without them. Mark them in the template with {% generation %} … {% endgeneration %}.',
    )
  return { text, spans: found }
}

type Marks = readonly [open: string, close: string]

function unusedCharacters(text: string): Marks {
  const free: string[] = []
  for (let code = 0xe000; code <= 0xf8ff && free.length < 2; code++) {
    const character = String.fromCharCode(code)
    if (!text.includes(character)) free.push(character)
  }
  if (free.length < 2) throw new ConfigError('Expected text that leaves two private characters free, got one with all.')
  return [free[0], free[1]]
}

/** The text without marks, and the spans between them. */
function takeOut(marked: string, [open, close]: Marks): ChatText {
  let text = ''
  let start = -1
  const spans: Span[] = []
  for (const part of marked.split(new RegExp(`([${open}${close}])`))) {
    if (part === open) start = text.length
    else if (part === close) {
      if (start >= 0 && text.length > start) spans.push([start, text.length])
      start = -1
    } else text += part
  }
  return { text, spans }
}

function byGenerationTags(
  messages: readonly ChatMessage[],
  options: RenderOptions,
  source: string,
  marks: Marks,
  expected: string,
): Span[] | undefined {
  if (source.match(GENERATION) === null) return undefined
  // A block with the same trimming of white space stands in for each tag.
  const block = (mark: string) => (_: string, left: string, right: string) =>
    `{%${left} if true %}${mark}{% endif ${right}%}`
  const template = source.replace(GENERATION, block(marks[0])).replace(END_GENERATION, block(marks[1]))
  const { text, spans } = takeOut(renderChat(messages, { ...options, template }), marks)
  return text === expected && spans.length > 0 ? spans : undefined
}

function byMarks(
  messages: readonly ChatMessage[],
  options: RenderOptions,
  marks: Marks,
  expected: string,
  ends: readonly string[],
): Span[] | undefined {
  const answers = messages.filter(({ role }) => role === 'assistant')
  if (
    !answers.every(
      ({ content, tool_calls }) => typeof content === 'string' && content.trim() !== '' && tool_calls === undefined,
    )
  )
    return undefined
  const marked = messages.map((message) => {
    if (message.role !== 'assistant') return message
    // Inside the white space, which many templates trim.
    const [, before, core, after] = /^(\s*)([\s\S]*?)(\s*)$/.exec(message.content as string)!
    return { ...message, content: `${before}${marks[0]}${core}${marks[1]}${after}` }
  })
  let found: ChatText
  try {
    found = takeOut(renderChat(marked, options), marks)
  } catch {
    return undefined
  }
  if (found.text !== expected || found.spans.length < answers.length) return undefined
  return found.spans.map(([start, end]) => [start, endOfTurn(expected, end, ends)])
}

/** The end of the turn that stops at `end`: after the token that follows, if it is one that may end a turn. */
function endOfTurn(text: string, end: number, ends: readonly string[]): number {
  const at = end + /^\s*/.exec(text.slice(end, end + 64))![0].length
  const token = ends.filter((candidate) => text.startsWith(candidate, at)).sort((a, b) => b.length - a.length)[0]
  return token === undefined ? end : at + token.length
}

function byDifference(
  messages: readonly ChatMessage[],
  options: RenderOptions,
  expected: string,
  ends: readonly string[],
): Span[] | undefined {
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

function commonStart(a: string, b: string): string {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return a.slice(0, length)
}
