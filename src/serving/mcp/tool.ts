// What a tool of the MCP server declares, and what it may use, such as the newest few models that tools have opened. The server and its
// documentation derive from it.

import type { z } from 'zod'
import { open, type TextModel } from '../../inference/index.ts'
import type { RunLibrary } from '../studio/runs/run-library.ts'

/** Models in memory at a time. */
const maxModels = 2

/** Opened models by the name that the caller gave. */
export class LoadedModels {
  readonly #models = new Map<string, TextModel>()
  #last: Promise<unknown> = Promise.resolve()

  /** Calls `work` after the work before it. */
  inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }

  /**
   * Calls `work` with a model. One call follows the other, since a model computes one thing at a time.
   * @param name a run, a folder, a `.gguf` file or a Hub id
   * @throws CheckpointError for files that cannot be loaded
   */
  use<Result>(name: string, work: (model: TextModel) => Promise<Result>): Promise<Result> {
    return this.inTurn(async () => work(await this.#get(name)))
  }

  async #get(name: string): Promise<TextModel> {
    const model = this.#models.get(name) ?? (await open(name))
    // The map keeps the order of use: the first is the one that was used least recently.
    this.#models.delete(name)
    this.#models.set(name, model)
    for (const [old, unused] of this.#models) {
      if (this.#models.size <= maxModels) break
      this.#models.delete(old)
      unused.close()
    }
    return model
  }

  /** Frees all models, after the work that is begun. */
  close(): Promise<void> {
    return this.inTurn(async () => {
      for (const model of this.#models.values()) model.close()
      this.#models.clear()
    })
  }
}

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
