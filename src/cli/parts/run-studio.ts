// `--ui` of every command that trains: the studio in a process of its own, and the model in training for its playground.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import type { RunListener } from '../../runs/index.ts'
import { LiveModel, type StudioProcess, startStudioProcess } from '../../serving/index.ts'
import type { CommandContext } from '../command.ts'
import { openBrowser } from './open-browser.ts'

const defaultPort = 7878

/** The flags of every command that trains. */
export const studioFields = {
  ui: z
    .boolean()
    .default(false)
    .describe('whether to show the run in the browser while it trains, and to answer prompts between its steps'),
  uiPort: z
    .int()
    .min(0)
    .max(65_535)
    .optional()
    .describe(`port of the page; 0 takes one that is free (default: ${defaultPort})`),
}

/** Values of the flags. */
export interface StudioFlags {
  ui: boolean
  uiPort?: number | undefined
}

const described = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error))

/** The studio of a command. Without `--ui` nothing is started. */
class CommandStudio {
  readonly #context: CommandContext
  readonly #port: number
  #studio: StudioProcess | undefined

  constructor(context: CommandContext, port: number) {
    this.#context = context
    this.#port = port
  }

  /** Shows a folder, if none is shown yet. */
  async show(folder: string): Promise<void> {
    if (this.#studio !== undefined) return
    const { context, report } = { context: this.#context, report: this.report }
    this.#studio = await startStudioProcess({ roots: [folder], port: this.#port }, { onError: report })
    const { url } = this.#studio
    context.log(`The studio shows the run on ${url}, and ends with it.`)
    if (!context.json) openBrowser(url)
  }

  readonly report = (error: unknown): void => this.#context.warn(described(error))

  async close(): Promise<void> {
    await this.#studio?.close()
  }
}

/**
 * Runs a command that trains with the studio beside it, if its flags say so.
 * @throws ConfigError for a port without `--ui`, or one that is taken
 */
export const withStudio = async <Result>(
  context: CommandContext,
  { ui, uiPort }: StudioFlags,
  run: (watched: Pick<RunListener, 'onFolder' | 'onModel'>) => Promise<Result>,
): Promise<Result> => {
  if (!ui && uiPort !== undefined) throw new ConfigError('`--ui-port` needs `--ui`: add it, or remove the port.')
  if (!ui) return run({})
  const studio = new CommandStudio(context, uiPort ?? defaultPort)
  try {
    return await run({
      onFolder: (folder) => studio.show(folder),
      onModel: (model) => LiveModel.open(model, {}, { onError: studio.report }),
    })
  } finally {
    await studio.close()
  }
}
