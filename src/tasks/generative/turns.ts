// Conversations as lists of turns, and the rules that a training conversation follows.
import { show } from '../../core/index.ts'
import { type Checked, fault } from '../records/columns.ts'
import { isFields } from '../records/row.ts'

/** Who speaks. */
export type TurnRole = 'system' | 'user' | 'assistant' | 'tool'

/** One message of a conversation. */
export interface Turn {
  role: TurnRole
  content: string
}

/** Names of the roles in known data sets. */
const roleNames: { readonly [name: string]: TurnRole } = {
  system: 'system',
  user: 'user',
  human: 'user',
  prompter: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  bot: 'assistant',
  model: 'assistant',
  tool: 'tool',
  function: 'tool',
  observation: 'tool',
}

/** A turn from the name of a role and a text. */
export const turnOf = (name: unknown, content: unknown): Checked<Turn> => {
  const role = typeof name === 'string' ? roleNames[name.toLowerCase()] : undefined
  if (role === undefined)
    return fault('unknown-role', `Expected a role of ${Object.keys(roleNames).join(', ')}, got ${show(name)}.`)
  if (typeof content !== 'string')
    return fault('no-text', `Expected text for the turn of the ${role}, got ${show(content)}.`)
  return { value: { role, content } }
}

/** A turn from a message: `role` and `content`, or `from` and `value`. */
export const turnFrom = (message: unknown): Checked<Turn> => {
  const { role, from, content, value } = isFields(message) ? message : {}
  return turnOf(role ?? from, content ?? value)
}

/** The turns of a list of messages. */
export const turnsFrom = (list: unknown, column: string): Checked<Turn[]> => {
  if (!Array.isArray(list)) return fault('no-text', `Expected messages in column "${column}", got ${show(list)}.`)
  const turns: Turn[] = []
  for (const message of list as unknown[]) {
    const turn = turnFrom(message)
    if ('fault' in turn) return turn
    turns.push(turn.value)
  }
  return { value: turns }
}

/** The roles that each role may follow; `undefined` is the beginning. */
const mayFollow: { [role in TurnRole]: readonly (TurnRole | undefined)[] } = {
  system: [undefined],
  user: [undefined, 'system', 'assistant'],
  assistant: ['user', 'tool'],
  tool: ['assistant', 'tool'],
}

const named = (role: TurnRole | undefined) => (role === undefined ? 'the beginning' : `a turn of the ${role}`)

/** A conversation split at its last answer. */
export interface PromptAndAnswer {
  /** Turns up to the last question. */
  turns: Turn[]
  /** The last answer. */
  answer: string
}

/**
 * Splits a conversation at its last answer; turns after it are left out. Faults: roles out of order, empty answers, no answer.
 */
export const splitLastAnswer = (conversation: readonly Turn[]): Checked<PromptAndAnswer> => {
  let before: TurnRole | undefined
  for (const [i, { role, content }] of conversation.entries()) {
    if (!mayFollow[role].includes(before))
      return fault(
        'roles-out-of-order',
        `Expected no turn of the ${role} after ${named(before)}, got one as turn ${i}.`,
      )
    if (role === 'assistant' && content.trim() === '')
      return fault('empty-answer', `Expected answers with text, got an empty one as turn ${i}.`)
    before = role
  }
  const last = conversation.findLastIndex(({ role }) => role === 'assistant')
  if (last < 0) return fault('no-answer', 'Expected a conversation with a turn of the assistant, got one without.')
  return { value: { turns: conversation.slice(0, last), answer: conversation[last].content } }
}
