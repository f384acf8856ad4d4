// The items of `/v1/responses` as messages of a conversation: messages, calls of functions, and what the functions returned.
import { z } from 'zod'
import { type ChatRequest, otherParts, textOf } from './chat-run.ts'

const id = z.string().max(256)
const status = z.enum(['in_progress', 'completed', 'incomplete']).nullish()

const inputText = z.strictObject({ type: z.literal('input_text'), text: z.string() })

/** A part of an answer that comes back as input. What it had besides its text is of no use to the model. */
const outputText = z.strictObject({
  type: z.literal('output_text'),
  text: z.string(),
  annotations: z.array(z.unknown()).optional(),
  logprobs: z.array(z.unknown()).nullish(),
})

const part = z.discriminatedUnion('type', [
  inputText,
  outputText,
  otherParts(['input_image', 'input_audio', 'input_file', 'refusal']),
])

const message = z.strictObject({
  type: z.literal('message').optional(),
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: z.union([z.string(), z.array(part).min(1)]),
  id: id.nullish(),
  status,
})

const functionCall = z.strictObject({
  type: z.literal('function_call'),
  call_id: id,
  name: z.string(),
  arguments: z.string(),
  id: id.nullish(),
  status,
})

const functionOutput = z.strictObject({
  type: z.literal('function_call_output'),
  call_id: id,
  output: z.string(),
  id: id.nullish(),
  status,
})

/** Reasoning of an earlier answer. Templates take it, or leave it out. */
const reasoning = z.strictObject({
  type: z.literal('reasoning'),
  summary: z.array(z.unknown()).max(0).nullish(),
  content: z.array(z.strictObject({ type: z.literal('reasoning_text'), text: z.string() })).nullish(),
  encrypted_content: z.null().optional(),
  id: id.nullish(),
  status,
})

/** Schema of `input`. */
export const responseInput = z.union([
  z.string().min(1),
  z
    .array(z.union([message, functionCall, functionOutput, reasoning]))
    .min(1)
    .max(4096),
])

type Input = z.output<typeof responseInput>
type Messages = ChatRequest['messages']

/** Adds a call to the message of the assistant before it, or to a new one. */
const addCall = (messages: Messages, call: z.output<typeof functionCall>): void => {
  const entry = {
    id: call.call_id,
    type: 'function' as const,
    function: { name: call.name, arguments: call.arguments },
  }
  const last = messages.at(-1)
  if (last?.role === 'assistant') last.tool_calls = [...(last.tool_calls ?? []), entry]
  else messages.push({ role: 'assistant', tool_calls: [entry] })
}

/** Adds a message, to the reasoning before it where that is of the same answer. */
const addMessage = (messages: Messages, role: Messages[number]['role'], content: string): void => {
  const last = messages.at(-1)
  const hasThoughtOnly = last?.reasoning_content != null && last.content === '' && last.tool_calls == null
  if (role === 'assistant' && last !== undefined && hasThoughtOnly) last.content = content
  else messages.push({ role, content })
}

/** The conversation of a request. */
export const messagesOfInput = (input: Input, instructions: string | null | undefined): Messages => {
  const messages: Messages = instructions == null ? [] : [{ role: 'system', content: instructions }]
  if (typeof input === 'string') return [...messages, { role: 'user', content: input }]
  for (const [i, item] of input.entries()) {
    if (item.type === 'function_call') addCall(messages, item)
    else if (item.type === 'function_call_output')
      messages.push({ role: 'tool', tool_call_id: item.call_id, content: item.output })
    else if (item.type === 'reasoning') {
      const thought = (item.content ?? []).map(({ text }) => text).join('')
      messages.push({ role: 'assistant', content: '', reasoning_content: thought })
    } else {
      const { role, content } = item
      addMessage(messages, role, textOf(content, `input[${i}].content`))
    }
  }
  return messages
}
