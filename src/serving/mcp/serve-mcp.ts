// Tools for agents, by the Model Context Protocol over standard input and output.

import type { Readable, Writable } from 'node:stream'
import { packageVersion, TunesmithError } from '../../core/index.ts'
import { ApiError } from '../http/errors.ts'
import { RunLibrary } from '../studio/runs/run-library.ts'
import { LoadedModels, type McpTool, type ToolContext } from './tool.ts'

/** Settings of the tools. */
export interface McpSettings {
  /** Folders of runs, or runs (default: `runs`). */
  roots?: readonly string[]
  /** Whether tools may start and stop runs (default: false, and there are no such tools). */
  allowStart?: boolean
  /** Where messages come from and go to (default: standard input and output). */
  input?: Readable
  output?: Writable
}

/** Called while the tools are served. */
export interface McpHooks {
  /** A tool failed by a fault of the server, or a message could not be read. */
  onError?(error: unknown): void
}

/** Tools that are served. */
export interface RunningMcp {
  /** Names of the tools. */
  readonly tools: readonly string[]
  close(): Promise<void>
}

/** An error that the caller can do something about. */
const isCallersFault = (error: unknown): error is Error => error instanceof TunesmithError || error instanceof ApiError

const answerOf = async (
  tool: McpTool,
  input: Parameters<McpTool['run']>[0],
  context: ToolContext,
  onError: (error: unknown) => void,
) => {
  try {
    return { content: [{ type: 'text' as const, text: JSON.stringify(await tool.run(input, context)) }] }
  } catch (error) {
    if (!isCallersFault(error)) onError(error)
    const text = isCallersFault(error) ? error.message : 'The server failed on this call. Its log has the cause.'
    return { content: [{ type: 'text' as const, text }], isError: true }
  }
}

/**
 * Serves the tools until the connection ends or `close` is called.
 * @throws ConfigError for a folder that is missing
 */
export const serveMcp = async (settings: McpSettings = {}, hooks: McpHooks = {}): Promise<RunningMcp> => {
  const { roots = ['runs'], allowStart = false, input, output } = settings
  const onError = (error: unknown) => hooks.onError?.(error)
  // Loaded here, as a server of models and a studio use neither.
  const { McpServer } = await import('@modelcontextprotocol/server')
  const { StdioServerTransport, serveStdio } = await import('@modelcontextprotocol/server/stdio')
  const { mcpTools } = await import('./tools/index.ts')
  const runs = await RunLibrary.open(roots)
  const models = new LoadedModels()
  const closed = new AbortController()
  const tools = mcpTools.filter(({ changes = false }) => allowStart || !changes)
  const makeServer = () => {
    const server = new McpServer({ name: 'tunesmith', version: packageVersion() }, { capabilities: { tools: {} } })
    for (const tool of tools) {
      const { name, title, description, input: inputSchema, changes = false } = tool
      server.registerTool(
        name,
        { title, description, inputSchema, annotations: { readOnlyHint: !changes, openWorldHint: false } },
        (args, { mcpReq: { signal } }) =>
          answerOf(tool, args, { runs, models, signal: AbortSignal.any([signal, closed.signal]) }, onError),
      )
    }
    return server
  }
  const handle = serveStdio(makeServer, {
    onerror: onError,
    transport: new StdioServerTransport(input, output),
  })
  return {
    tools: tools.map(({ name }) => name),
    async close() {
      closed.abort()
      await handle.close()
      await models.close()
    },
  }
}
