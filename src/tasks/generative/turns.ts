// Conversations as lists of turns, and the rules that a training conversation follows.
import { type Checked, fault } from '../records/columns.ts'

/** Who speaks. */
export type TurnRole = 'system' | 'user' | 'assistant' | 'tool'

/** A call of a tool by the assistant, as OpenAI's API writes it, with the arguments as an object. */
export interface ToolCall {
  id?: string
  type: 'function'
  function: { name: string; arguments: { [name: string]: unknown } }
}

/** A tool that the assistant may call, with a JSON schema of its parameters. */
export interface ToolDefinition {
  type: 'function'
  function: { name: string; [field: string]: unknown }
}

/** One message of a conversation. */
export interface Turn {
  role: TurnRole
  content: string
  /** Calls of tools, of the assistant. */
  tool_calls?: readonly ToolCall[]
  /** What the assistant thought before its answer. */
  reasoning_content?: string
  /** The tool whose result this is. */
  name?: string
  /** The call whose result this is. */
  tool_call_id?: string
  /** Weight of the turn in the loss, of the assistant (default: 1); 0 leaves it out. */
  weight?: number
}

/** Whether a turn says anything: text, or calls. */
export const isEmptyTurn = ({ content, tool_calls }: Turn): boolean => content.trim() === '' && tool_calls === undefined

/** A turn as a chat template gets it. Templates name what the assistant thought in one of two ways. */
export const messageOf = ({ weight: _, ...turn }: Turn): { role: string; content: string; [field: string]: unknown } =>
  turn.reasoning_content === undefined ? turn : { ...turn, thinking: turn.reasoning_content }

/** An answer as one text: its content, and each call as a line of JSON. */
export const answerText = ({ content, tool_calls = [] }: Turn): string =>
  [
    ...(content.trim() === '' ? [] : [content]),
    ...tool_calls.map(({ function: { name, arguments: given } }) => JSON.stringify({ name, arguments: given })),
  ].join('\n')

/** The roles that each role may follow; `undefined` is the beginning. */
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
  /** The last answer that is trained. */
  answer: Turn
}

/**
 * Splits a conversation at its last answer that is trained; turns after it are left out. Faults: roles out of order, empty answers, no
 * answer, no trained answer.
 */
export const splitLastAnswer = (conversation: readonly Turn[]): Checked<PromptAndAnswer> => {
  let before: TurnRole | undefined
  for (const [i, turn] of conversation.entries()) {
    const { role } = turn
    if (!mayFollow[role].includes(before))
      return fault(
        'roles-out-of-order',
        `Expected no turn of the ${role} after ${named(before)}, got one as turn ${i}.`,
      )
    if (role === 'assistant' && isEmptyTurn(turn))
      return fault('empty-answer', `Expected answers with text, got an empty one as turn ${i}.`)
    before = role
  }
  const last = conversation.findLastIndex(({ role, weight }) => role === 'assistant' && weight !== 0)
  if (last >= 0) return { value: { turns: conversation.slice(0, last), answer: conversation[last] } }
  if (conversation.some(({ role }) => role === 'assistant'))
    return fault('no-trained-answer', 'Expected an answer with a weight above 0, got a conversation with weights of 0.')
  return fault('no-answer', 'Expected a conversation with a turn of the assistant, got one without.')
}
