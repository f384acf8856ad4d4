// How a chat template writes conversations, found by rendering a few: the texts around the messages of each role. A template
// that does more than to write messages between fixed texts has no such form.
import type { ChatMessage } from '../../tokenizers/index.ts'

/** Where the system message is written: as a turn of its own, or within the first or the last question. */
type SystemPlace = 'turn' | 'first question' | 'last question'

/** The texts around messages. */
export interface Turns {
  /** Text at the beginning, such as the start token. */
  head: string
  /** Text after `head` where the conversation has no system message. */
  defaultSystem: string
  /** Undefined for a template that refuses system messages: they are left out. */
  system?: { place: SystemPlace; before: string; after: string }
  user: { before: string; after: string }
  assistant: { before: string; after: string }
  /** Text before the answer that is asked for. */
  answer: string
}

/** Renders a conversation up to the beginning of the next answer, or whole. Throws where the template refuses it. */
export type RenderChat = (messages: readonly ChatMessage[], addGenerationPrompt: boolean) => string

// Words that no template writes.
const words = { system: 'qsysq', user: 'quserq', assistant: 'qansq', last: 'qlastq' }
const message = (role: string, content: string): ChatMessage => ({ role, content })
const question = message('user', words.user)
const exchange = [question, message('assistant', words.assistant), message('user', words.last)]

const commonSuffix = (a: string, b: string): string => {
  let length = 0
  while (length < Math.min(a.length, b.length) && a[a.length - 1 - length] === b[b.length - 1 - length]) length++
  return a.slice(a.length - length)
}

/** The text between two words, or from the beginning, or to the end. Undefined unless each word is there once. */
const between = (rendered: string, from: string | undefined, to: string | undefined): string | undefined => {
  for (const word of [from, to]) if (word !== undefined && rendered.split(word).length !== 2) return undefined
  const start = from === undefined ? 0 : rendered.indexOf(from) + from.length
  const end = to === undefined ? rendered.length : rendered.indexOf(to)
  return start <= end ? rendered.slice(start, end) : undefined
}

/** What is left of a text without its end; undefined if it ends otherwise. */
const withoutEnd = (whole: string | undefined, end: string): string | undefined =>
  whole?.endsWith(end) ? whole.slice(0, whole.length - end.length) : undefined

const withoutStart = (whole: string | undefined, start: string): string | undefined =>
  whole?.startsWith(start) ? whole.slice(start.length) : undefined

/** What is rendered; undefined where the template refuses it. */
export const attempt = (render: () => string): string | undefined => {
  try {
    return render()
  } catch {
    return undefined
  }
}

/** Texts of user and assistant, without the beginning of the conversation. */
const exchangeTurns = (render: RenderChat): Pick<Turns, 'user' | 'assistant' | 'answer'> | undefined => {
  const asked = attempt(() => render(exchange, true))
  const closed = attempt(() => render(exchange, false))
  if (asked === undefined || closed === undefined) return undefined
  const start = between(asked, undefined, words.user)
  const end = between(asked, words.last, undefined)
  const toAnswer = between(asked, words.user, words.assistant)
  const toQuestion = between(asked, words.assistant, words.last)
  if (start === undefined || end === undefined || toAnswer === undefined || toQuestion === undefined) return undefined
  const answer = withoutStart(asked, closed) ?? commonSuffix(end, toAnswer)
  const userAfter = withoutEnd(end, answer)
  if (userAfter === undefined) return undefined
  // Most templates end all turns in the same way; others are split where a later question looks like the first.
  const sameEnd = userAfter === '' ? undefined : withoutStart(toQuestion, userAfter)
  const userBefore = sameEnd !== undefined && start.endsWith(sameEnd) ? sameEnd : commonSuffix(start, toQuestion)
  const assistantAfter = withoutEnd(toQuestion, userBefore)
  const assistantBefore = withoutStart(toAnswer, userAfter)
  if (assistantAfter === undefined || assistantBefore === undefined) return undefined
  return {
    user: { before: userBefore, after: userAfter },
    assistant: { before: assistantBefore, after: assistantAfter },
    answer,
  }
}

/** Where a system message goes; undefined where no form fits. */
const systemTurn = (render: RenderChat, { user, assistant }: Pick<Turns, 'user' | 'assistant'>): Turns['system'] => {
  const rendered = attempt(() => render([message('system', words.system), ...exchange], true))
  if (rendered === undefined) return undefined
  const start = between(rendered, undefined, words.system)
  const toFirst = between(rendered, words.system, words.user)
  if (start !== undefined && toFirst !== undefined) {
    const own = withoutEnd(toFirst, user.before)
    if (own !== undefined) return { place: 'turn', before: start, after: own }
    const before = withoutStart(start, user.before)
    return before === undefined ? undefined : { place: 'first question', before, after: toFirst }
  }
  const inLast = between(rendered, words.assistant, words.system)
  const before = withoutStart(inLast, assistant.after + user.before)
  const after = between(rendered, words.system, words.last)
  return before === undefined || after === undefined ? undefined : { place: 'last question', before, after }
}

/**
 * The form of a template, or undefined. It is a guess from a few conversations: compare more with `renderTurns`.
 * @param start token that conversations may begin with
 */
export const findTurns = (render: RenderChat, start: string): Turns | undefined => {
  const alone = attempt(() => render([question], true))
  if (alone === undefined) return undefined
  const head = alone.startsWith(start) ? start : ''
  const rest: RenderChat = (messages, addGenerationPrompt) => {
    const rendered = render(messages, addGenerationPrompt)
    if (!rendered.startsWith(head)) throw new RangeError('The conversation begins in another way.')
    return rendered.slice(head.length)
  }
  const turns = exchangeTurns(rest)
  if (turns === undefined) return undefined
  const defaultSystem = withoutEnd(between(rest([question], true), undefined, words.user), turns.user.before)
  if (defaultSystem === undefined) return undefined
  const system = systemTurn(rest, turns)
  return { head, defaultSystem, ...(system === undefined ? {} : { system }), ...turns }
}

const isSystem = ({ role }: ChatMessage): boolean => role === 'system'

/** Writes a conversation of messages with text, with any system message at the beginning. */
export const renderTurns = (turns: Turns, messages: readonly ChatMessage[]): string => {
  const { head, defaultSystem, system, user, assistant, answer } = turns
  const given = messages.find(isSystem)?.content
  const last = messages.length - 1
  const within = (i: number): boolean =>
    given !== undefined &&
    ((system?.place === 'first question' && i <= 1) || (system?.place === 'last question' && i === last))
  const write = ({ role, content }: ChatMessage, i: number): string => {
    if (role === 'system') return system?.place === 'turn' ? `${system.before}${content}${system.after}` : ''
    if (role === 'assistant') return `${assistant.before}${content}${assistant.after}`
    const prompt = within(i) ? `${system?.before}${given}${system?.after}` : ''
    return `${user.before}${prompt}${content}${user.after}`
  }
  const start = given === undefined || system === undefined ? defaultSystem : ''
  return head + start + messages.map(write).join('') + answer
}
