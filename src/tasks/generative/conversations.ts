// Conversations from rows in any usual form: columns of an instruction and its answer, instances of an instruction, messages with roles,
// and trees of messages with several replies.
import { show } from '../../core/index.ts'
import { type Checked, fault, firstColumn, hasValue, setColumns, textIn } from '../records/columns.ts'
import { type DataRow, type Fields, isFields } from '../records/row.ts'
import { mediaIn, toolsFrom, turnOf, turnsFrom } from './messages.ts'
import { type PromptAndAnswer, splitLastAnswer, type ToolDefinition, type Turn } from './turns.ts'

/** Column names of all forms; each form uses its own. */
export interface ConversationColumns {
  instruction: string
  input: string
  /** The first of these that a row has. */
  output: readonly string[]
  messages: readonly string[]
  tools: readonly string[]
  instances: string
  tree: string
}

/** Which paths of a message tree become conversations. */
export interface TreeChoice {
  /** One conversation per tree along the best-ranked replies, or one per leaf. */
  paths: 'best' | 'all'
}

interface ConversationReader {
  fits(values: DataRow['values'], columns: ConversationColumns): boolean
  conversations(row: DataRow, columns: ConversationColumns, choice: TreeChoice): Checked<Turn[]>[]
}

/** An instruction and its input as one question. */
const question = (instruction: string, input: unknown): string =>
  typeof input === 'string' && input.trim() !== '' ? `${instruction.trim()}\n\n${input.trim()}` : instruction.trim()

const pair = (user: string, answer: unknown): Checked<Turn[]> =>
  typeof answer === 'string'
    ? {
        value: [
          { role: 'user', content: user },
          { role: 'assistant', content: answer.trim() },
        ],
      }
    : fault('no-answer', `Expected text for the answer, got ${show(answer)}.`)

const columnsForm: ConversationReader = {
  fits: (values, { instruction, output }) => hasValue(values, instruction) && firstColumn(values, output) !== undefined,
  conversations(row, { instruction, input, output }) {
    const text = textIn(row, instruction)
    if ('fault' in text) return [text]
    const column = firstColumn(row.values, output) ?? output[0]
    return [pair(question(text.value, row.values[input]), row.values[column])]
  },
}

const instancesForm: ConversationReader = {
  fits: (values, { instruction, instances }) => hasValue(values, instruction) && Array.isArray(values[instances]),
  conversations(row, { instruction, instances }) {
    const text = textIn(row, instruction)
    if ('fault' in text) return [text]
    const list = row.values[instances]
    if (!Array.isArray(list) || list.length === 0)
      return [fault('no-answer', `Expected instances in column "${instances}", got ${show(list)}.`)]
    return list.map((one: unknown) =>
      isFields(one)
        ? pair(question(text.value, one.input), one.output)
        : fault('no-object', `Expected objects in column "${instances}", got ${show(one)}.`),
    )
  },
}

const messagesForm: ConversationReader = {
  fits: (values, { messages }) => messages.some((column) => Array.isArray(values[column])),
  conversations({ values }, { messages }) {
    const column = messages.find((name) => Array.isArray(values[name])) ?? messages[0]
    const found = turnsFrom(values[column], column)
    if ('fault' in found) return [found]
    return [{ value: [...systemTurn(values), ...found.value] }]
  },
}

/** The system prompt in a column of its own, if there is one. */
export const systemTurn = ({ system }: Fields): Turn[] =>
  typeof system === 'string' && system.trim() !== '' ? [{ role: 'system', content: system }] : []

export interface Reply extends Fields {
  replies?: unknown
}

/** The replies to a message that were not deleted. */
export const repliesTo = ({ replies }: Reply): Reply[] =>
  (Array.isArray(replies) ? replies : []).filter(isFields).filter(({ deleted }) => deleted !== true)

/** Replies by rank; those without a rank come last, in their order. */
const ranked = (replies: readonly Reply[]): Reply[] => {
  const rank = ({ rank: given }: Reply) => (typeof given === 'number' ? given : Number.POSITIVE_INFINITY)
  return replies
    .map((reply, i) => ({ reply, i }))
    .sort((a, b) => (rank(a.reply) === rank(b.reply) ? a.i - b.i : rank(a.reply) - rank(b.reply)))
    .map(({ reply }) => reply)
}

export const maxDepth = 1000

const treeForm: ConversationReader = {
  fits: (values, { tree }) => isFields(values[tree]) && 'replies' in (values[tree] as Fields),
  conversations({ values }, { tree }, { paths }) {
    const root = values[tree]
    if (!isFields(root)) return [fault('no-object', `Expected a message in column "${tree}", got ${show(root)}.`)]
    const found: Checked<Turn[]>[] = []
    /** Answers followed by unanswered questions only: their conversation is added once. */
    const ended = new Set<Turn | undefined>()
    const walk = (message: Reply, before: readonly Turn[]): void => {
      const turn = turnOf(message.role, message.text ?? message.content)
      if ('fault' in turn || before.length > maxDepth) {
        found.push(
          'fault' in turn ? turn : fault('too-deep', `Expected at most ${maxDepth} messages in a row, got more.`),
        )
        return
      }
      const turns = [...before, turn.value]
      const usable = ranked(repliesTo(message))
      const open = usable.length === 0 && turn.value.role !== 'assistant' && before.length > 0
      if (open && ended.has(before.at(-1))) return
      if (open) ended.add(before.at(-1))
      if (usable.length === 0) found.push({ value: turns })
      else for (const reply of paths === 'best' ? usable.slice(0, 1) : usable) walk(reply, turns)
    }
    walk(root, [])
    return found
  },
}

const conversationForms = {
  columns: columnsForm,
  instances: instancesForm,
  messages: messagesForm,
  tree: treeForm,
} as const satisfies Record<string, ConversationReader>
export type ConversationForm = keyof typeof conversationForms
export const formNames = Object.keys(conversationForms) as [ConversationForm, ...ConversationForm[]]

/** A conversation up to its last question, the answer, and the tools that the assistant may call. */
export interface Conversation extends PromptAndAnswer {
  tools?: readonly ToolDefinition[]
}

/** The conversations of a row, each split at its last answer, or the fault of the row. */
export const conversationsIn = (
  row: DataRow,
  form: 'auto' | ConversationForm,
  columns: ConversationColumns,
  choice: TreeChoice,
): Checked<Conversation>[] => {
  const name = form === 'auto' ? formNames.find((one) => conversationForms[one].fits(row.values, columns)) : form
  if (name === undefined) {
    const { instruction, output, messages, instances, tree } = columns
    return [
      fault(
        'no-conversation',
        `Expected columns ${instruction} with ${output.join(' or ')}, ${instruction} with ${instances}, ${messages.join(' or ')}, or ${tree}, got ${Object.keys(row.values).slice(0, 20).join(', ')}. ${setColumns('settings', ['instruction', 'output'])}`,
      ),
    ]
  }
  const media = mediaIn(row.values)
  if (media !== undefined) return [media]
  const column = firstColumn(row.values, columns.tools)
  const tools = column === undefined ? { value: undefined } : toolsFrom(row.values[column], column)
  if ('fault' in tools) return [tools]
  return conversationForms[name].conversations(row, columns, choice).map((one) => {
    const split = 'fault' in one ? one : splitLastAnswer(one.value)
    if ('fault' in split || tools.value === undefined) return split
    return { value: { ...split.value, tools: tools.value } }
  })
}
