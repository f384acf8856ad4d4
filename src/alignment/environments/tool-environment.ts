// An environment of tools: the model calls them in its turns, their results come back as turns, and a turn without a call is the answer.

import { show } from '../../core/index.ts'
import { type Turn, turnsOf } from '../../tasks/index.ts'
import type { Environment } from './environment.ts'

/** A call of a tool. */
export interface ToolCall {
  name: string
  arguments: { readonly [name: string]: unknown }
}

/** The calls in a text. */
export interface ToolCalls {
  calls: ToolCall[]
  /** What looks like a call and is none, in sentences for the model. */
  faults: string[]
}

const open = '<tool_call>'
const close = '</tool_call>'
const listMark = '[TOOL_CALLS]'

const isObject = (value: unknown): value is { readonly [name: string]: unknown } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A call from JSON: `arguments` or `parameters`, as an object or as the text of one. */
const callFrom = (value: unknown): ToolCall | undefined => {
  if (!isObject(value) || typeof value.name !== 'string') return undefined
  const given = value.arguments ?? value.parameters ?? {}
  const own = typeof given === 'string' ? parse(given) : given
  return isObject(own) ? { name: value.name, arguments: own } : undefined
}

/** The texts between tags; a tag that is not closed holds the rest. */
const tagged = (text: string): string[] =>
  text
    .split(open)
    .slice(1)
    .map((part) => part.split(close)[0])

/** Finds the calls of tools in the text of a turn. A text without any has neither calls nor faults. */
export const parseToolCalls = (text: string): ToolCalls => {
  const trimmed = text.trim()
  const at = trimmed.indexOf(listMark)
  const candidates: unknown[] = []
  if (trimmed.includes(open)) candidates.push(...tagged(trimmed).map((part) => parse(part) ?? part))
  else if (at >= 0) {
    const list = parse(trimmed.slice(at + listMark.length))
    if (Array.isArray(list)) candidates.push(...list)
    else candidates.push(list ?? trimmed.slice(at))
  } else {
    const value = parse(trimmed)
    // An answer may be JSON too: it is a call only if it has the form of one.
    if (callFrom(value) !== undefined) candidates.push(value)
  }
  const calls: ToolCall[] = []
  const faults: string[] = []
  for (const candidate of candidates) {
    const call = callFrom(candidate)
    if (call !== undefined) calls.push(call)
    else faults.push(`Expected {"name": …, "arguments": {…}} as a tool call, got ${show(candidate)}.`)
  }
  return { calls, faults }
}

/** A tool that a model can call. */
export interface Tool {
  readonly name: string
  /** One sentence for the model. */
  readonly description: string
  /** JSON schema of the arguments. */
  readonly parameters: { readonly [field: string]: unknown }
  /** The result as text. An error is shown to the model, which may try again. */
  run(given: ToolCall['arguments'], options: { signal: AbortSignal }): string | Promise<string>
}

/** Settings of `toolEnvironment`. */
export interface ToolEnvironmentOptions {
  /** Role of the turns with results: `user` for chat templates without the role `tool` (default: `tool`). */
  role?: 'tool' | 'user'
  /** Describe the tools in the system prompt (default: true). */
  describe?: boolean
  /** Maximum characters of a result; longer ones are truncated (default: 4096). */
  maxResult?: number
}

const systemPrompt = (tools: readonly Tool[]): string =>
  [
    'You can call these tools:',
    ...tools.map(({ name, description, parameters }) => JSON.stringify({ name, description, parameters })),
    'To call one, write <tool_call>{"name": "…", "arguments": {…}}</tool_call> and end your turn. When you know the answer, write it without a call.',
  ].join('\n')

/** The turns with a system prompt, or with a longer one. */
const withSystem = (turns: readonly Turn[], text: string): Turn[] => {
  const [first, ...rest] = turns
  return first?.role === 'system'
    ? [{ role: 'system', content: `${first.content}\n\n${text}` }, ...rest]
    : [{ role: 'system', content: text }, ...turns]
}

/** An environment in which the model can call tools. It gives no reward: rewards score its answer. */
export const toolEnvironment = (
  name: string,
  tools: readonly Tool[],
  { role = 'tool', describe = true, maxResult = 4096 }: ToolEnvironmentOptions = {},
): Environment => {
  const byName = new Map(tools.map((tool) => [tool.name, tool]))
  const run = async ({ name: wanted, arguments: given }: ToolCall, signal: AbortSignal): Promise<string> => {
    const tool = byName.get(wanted)
    if (tool === undefined) return `Error: no tool ${wanted}. The tools are ${[...byName.keys()].join(', ')}.`
    try {
      const result = await tool.run(given, { signal })
      return result.length > maxResult ? `${result.slice(0, maxResult)}…` : result
    } catch (error) {
      signal.throwIfAborted()
      return `Error: ${(error as Error).message}`
    }
  }
  return {
    name,
    start: ({ prompt }) => {
      const turns = turnsOf(prompt, 'user')
      return { messages: describe ? withSystem(turns, systemPrompt(tools)) : turns }
    },
    async step(messages, { signal }) {
      const { calls, faults } = parseToolCalls(messages.at(-1)?.content ?? '')
      if (calls.length + faults.length === 0) return { messages: [], done: true }
      const results: Turn[] = faults.map((fault) => ({ role, content: `Error: ${fault}` }))
      for (const call of calls) results.push({ role, content: await run(call, signal) })
      return { messages: results, done: false }
    },
  }
}
