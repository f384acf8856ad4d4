// TEMPLATE of a Modelfile, in Go's language for templates, from the chat template of a model. One is written only where it
// renders conversations to the same texts; Ollama's own rendering of such texts is in tests/export/golden.
import { type ChatMessage, type ChatOptions, renderChatFor } from '../../tokenizers/index.ts'
import type { ExportSource } from '../export-target.ts'
import { startTokenOf } from '../gguf/tokenizer-fields.ts'
import { attempt, findTurns, type RenderChat, renderTurns, type Turns } from './turns.ts'

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
export interface ChatSource {
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
