// Conversations as lists of turns, and what makes one fit to learn from. Knows no file format and no template.
import { show } from '../../core/index.ts'
import { type Checked, fault } from '../records/columns.ts'

export type TurnRole = 'system' | 'user' | 'assistant' | 'tool'

/** What one side says. */
export interface Turn {
  role: TurnRole
  content: string
}

/** Names of the sides in known data sets. */
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

/** A turn from a side's name and its text. */
export const turnOf = (name: unknown, content: unknown): Checked<Turn> => {
  const role = typeof name === 'string' ? roleNames[name.toLowerCase()] : undefined
  if (role === undefined)
    return fault('unknown-role', `Expected a role of ${Object.keys(roleNames).join(', ')}, got ${show(name)}.`)
  if (typeof content !== 'string')
    return fault('no-text', `Expected text for what the ${role} says, got ${show(content)}.`)
  return { value: { role, content } }
}

/** Which roles may come after which; `undefined` stands for the beginning. */
const mayFollow: { [role in TurnRole]: readonly (TurnRole | undefined)[] } = {
  system: [undefined],
  user: [undefined, 'system', 'assistant'],
  assistant: ['user', 'tool'],
  tool: ['assistant', 'tool'],
}

const named = (role: TurnRole | undefined) => (role === undefined ? 'the beginning' : `a turn of the ${role}`)

export interface PromptAndAnswer {
  /** Turns up to the last question. */
  turns: Turn[]
  /** The last answer. */
  answer: string
}

/**
 * A conversation as its last answer and what comes before it; turns behind the last answer have none and are left out. Every answer says
 * something, and sides take turns.
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
      return fault('empty-answer', `Expected answers that say something, got an empty one as turn ${i}.`)
    before = role
  }
  const last = conversation.findLastIndex(({ role }) => role === 'assistant')
  if (last < 0) return fault('no-answer', 'Expected a conversation with a turn of the assistant, got one without.')
  return { value: { turns: conversation.slice(0, last), answer: conversation[last].content } }
}
