// An environment of tools: the model calls them in its turns, their results come back as turns, and a turn without a call is the answer.
import type { Turn } from '../../tasks/index.ts'
import { turnsOf } from '../../tasks/index.ts'
import type { Environment } from './environment.ts'
import { parseToolCalls, type ToolCall } from './tool-calls.ts'

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
