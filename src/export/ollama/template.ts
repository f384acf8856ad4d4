// TEMPLATE of a Modelfile, in Go's language for templates, from the chat template of a model: the texts around the messages of each role
// are found by rendering a few conversations. One is written only where it renders them to the same texts; Ollama's own rendering of
// such texts is in tests/export/golden.
import { type ChatMessage, type ChatOptions, renderChatFor } from '../../tokenizers/index.ts'
import type { ExportSource } from '../export-target.ts'
import { startTokenOf } from '../gguf/tokenizer-fields.ts'

/** Where the system message is written: as a turn of its own, or within the first or the last question. */
type SystemPlace = 'turn' | 'first question' | 'last question'

/** The texts around messages. */
interface Turns {
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
type RenderChat = (messages: readonly ChatMessage[], addGenerationPrompt: boolean) => string

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
const attempt = (render: () => string): string | undefined => {
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
const findTurns = (render: RenderChat, start: string): Turns | undefined => {
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
const renderTurns = (turns: Turns, messages: readonly ChatMessage[]): string => {
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

/** A TEMPLATE, with what it leaves out as parts of a sentence, or why there is none. */
export type OllamaTemplate = { text: string; conversations: number; limits: string[] } | { reason: string }

const texts = [
  ...['Hello?', 'What is 2 + 2?\n\nAnswer "four" or \'five\'.', 'Größe 日本語 🙂', 'a {{ .Content }} {% if %} b'],
  ...['back\\slash and\ttab', '<b>&amp;</b> 100 %', '- one\n- two\n\n\n- three', 'x'],
]

/** Conversations that end with a question, whose messages have no white space around them. */
export const ollamaConversations: readonly ChatMessage[][] = [false, true].flatMap((isFirstSystem) =>
  [0, 1, 2, 3].flatMap((exchanges) =>
    [0, 1, 2].map((round) => {
      const roles = [
        ...(isFirstSystem ? ['system'] : []),
        ...Array.from({ length: exchanges }, () => ['user', 'assistant']).flat(),
        'user',
      ]
      return roles.map((role, i) => ({ role, content: texts[(5 * i + 3 * round + exchanges) % texts.length] }))
    }),
  ),
)

// Ollama's parser of Modelfiles drops what Go does not call printable.
const plain = /^(?:(?!\{\{|""")[\p{L}\p{M}\p{N}\p{P}\p{S} \n\t])*$/u
const unprintable = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu

/** A text as the value of a line in a Modelfile; undefined where its parser would read another text. */
export const modelfileValue = (text: string): string | undefined => {
  if (text.includes('"""') || /[^\p{L}\p{M}\p{N}\p{P}\p{S} \n\t]/u.test(text)) return undefined
  return /[\n"]/.test(text) ? `"""${text}"""` : `"${text}"`
}

const escapeCharacter = (character: string): string => {
  const code = character.codePointAt(0) ?? 0
  return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
}

/** A text in Go's templates: as it is, or as a quoted string. */
const literal = (text: string): string =>
  plain.test(text) ? text : `{{ ${JSON.stringify(text).replace(unprintable, escapeCharacter)} }}`

/** The text of TEMPLATE. */
const goTemplate = ({ head, defaultSystem, system, user, assistant, answer }: Turns): string => {
  const role = (name: string) => `if eq .Role "${name}"`
  const turn = ({ before, after }: { before: string; after: string }, content = '{{ .Content }}') =>
    `${literal(before)}${content}${literal(after)}`
  const conditions = {
    'first question': 'and $.System (le $i 1)',
    'last question': 'and $.System (eq (len (slice $.Messages $i)) 1)',
  }
  const place = system?.place ?? 'turn'
  const within =
    system === undefined || place === 'turn'
      ? ''
      : `{{ if ${conditions[place]} }}${turn(system, '{{ $.System }}')}{{ end }}`
  const start =
    defaultSystem === '' || system === undefined
      ? literal(defaultSystem)
      : `{{ if not .System }}${literal(defaultSystem)}{{ end }}`
  return [
    literal(head),
    start,
    `{{ range ${within === '' ? '' : '$i, $_ := '}.Messages }}{{ `,
    system !== undefined && place === 'turn' ? `${role('system')} }}${turn(system)}{{ else ` : '',
    `${role('user')} }}${literal(user.before)}${within}{{ .Content }}${literal(user.after)}{{ else `,
    `${role('assistant')} }}${turn(assistant)}{{ end }}{{ end }}`,
    literal(answer),
  ].join('')
}

const tool = {
  type: 'function',
  function: { name: 'f', description: 'd', parameters: { type: 'object', properties: {} } },
}

/** What conversations may have that TEMPLATE does not render. */
const limitsOf = (turns: Turns, render: RenderChat, withTools: () => string): string[] => {
  const question = { role: 'user', content: 'x' }
  const differs = (messages: ChatMessage[]): boolean => {
    const expected = attempt(() => render(messages, true))
    return expected !== undefined && expected !== renderTurns(turns, messages)
  }
  const answered = (content: string) => [question, { role: 'assistant', content }, question]
  return [
    ...(attempt(withTools) === renderTurns(turns, [question]) ? [] : ['leaves out tools']),
    ...(turns.system === undefined ? ['leaves out system messages, which the chat template refuses'] : []),
    ...([[{ ...question, content: ' x ' }], answered(' x ')].some(differs)
      ? ['keeps white space around messages']
      : []),
    ...(differs(answered('<think>\ny\n</think>\n\nz')) ? ['keeps the reasoning of earlier answers'] : []),
  ]
}

const laterSystem = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: 'Hello' },
  { role: 'system', content: 'Be long.' },
  { role: 'user', content: 'Bye' },
]

/** How many conversations are written alike, without those that the template refuses, or the first difference. */
const compareTurns = (turns: Turns, render: RenderChat, conversations = ollamaConversations): number | string => {
  let count = 0
  for (const messages of conversations) {
    const expected = attempt(() => render(messages, true))
    if (expected === undefined) continue
    if (renderTurns(turns, messages) !== expected)
      return `the chat template renders ${JSON.stringify(messages)} to ${JSON.stringify(expected)}`
    count += 1
  }
  return count
}

/** A chat template with the tokens that it is rendered with. */
interface ChatSource {
  /** Jinja source. */
  source: string
  /** Start token of the tokenizer. */
  bos?: string
  /** Token that llama.cpp adds before each text. */
  start?: string
  render(messages: readonly ChatMessage[], options: Pick<ChatOptions, 'addGenerationPrompt' | 'variables'>): string
}

/** TEMPLATE for a chat template. */
export const templateFor = ({ source, bos = '', start = '', render }: ChatSource): OllamaTemplate => {
  if (source.includes('strftime_now')) return { reason: 'the chat template writes the date' }
  const rendering =
    (variables?: Record<string, unknown>): RenderChat =>
    (messages, addGenerationPrompt) => {
      const text = render(messages, { addGenerationPrompt, variables })
      return text.startsWith(start) ? text.slice(start.length) : text
    }
  const withoutTools = rendering()
  // The start token begins the conversation or each turn, which shows where a system message comes later.
  const found = [...new Set([bos, ''])].flatMap((head) => findTurns(withoutTools, head) ?? [])
  const compared = found.map((turns) => ({ turns, result: compareTurns(turns, withoutTools) }))
  const equal = compared.filter(({ result }) => typeof result === 'number')
  const best = equal.find(({ turns }) => compareTurns(turns, withoutTools, [laterSystem]) === 1) ?? equal[0]
  if (best === undefined)
    return {
      reason: String(compared[0]?.result ?? 'the chat template does more than to write fixed texts around messages'),
    }
  const { turns, result } = best
  const withTools = () => rendering({ tools: [tool] })([{ role: 'user', content: 'x' }], true)
  return { text: goTemplate(turns), conversations: Number(result), limits: limitsOf(turns, withoutTools, withTools) }
}

/** The line of a Modelfile. */
export const templateLine = (text: string): string => `TEMPLATE """${text}"""`

/** TEMPLATE for the chat template of a model. */
export const ollamaTemplate = ({ tokenizer, chatTemplate = '' }: ExportSource): OllamaTemplate =>
  templateFor({
    source: chatTemplate,
    bos: tokenizer.special.bos?.token,
    start: startTokenOf(tokenizer),
    render: (messages, options) => renderChatFor(tokenizer, messages, options),
  })
