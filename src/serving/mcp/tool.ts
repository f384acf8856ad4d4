// What a tool of the MCP server declares, and what it may use. The server and its documentation derive from it.
import type { z } from 'zod'
import type { RunLibrary } from '../studio/runs/run-library.ts'
import type { LoadedModels } from './loaded-models.ts'

/** What tools share. */
export interface ToolContext {
  runs: RunLibrary
  models: LoadedModels
  /** Fires when the caller gives up or the server stops. */
  signal: AbortSignal
}

/** One function that an agent may call. */
export interface McpTool<Input extends z.ZodObject = z.ZodObject> {
  name: string
  /** For people. */
  title: string
  /** For the model that chooses a tool. */
  description: string
  /** Whether it starts or stops runs, which the user must allow. */
  changes?: boolean
  /** Strict schema of the arguments. */
  input: Input
  /** @throws TunesmithError or ApiError, whose message is the answer */
  run(input: z.output<Input>, context: ToolContext): Promise<object> | object
}

/** Declares a tool; tools/index.ts lists it. */
export const defineTool = <Input extends z.ZodObject>(tool: McpTool<Input>): McpTool =>
  // The type of its own input stays inside the tool, which parses it with its own schema.
  tool as unknown as McpTool
