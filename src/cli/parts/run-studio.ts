// `--ui` of every command that trains: the studio in a process of its own, and the model in training for its playground.
import { z } from 'zod'
import { ConfigError, faultText } from '../../core/index.ts'
import type { RunListener } from '../../runs/index.ts'
import { LiveModel, type StudioProcess, startStudioProcess, studioPort } from '../../serving/index.ts'
import type { CommandContext } from '../command.ts'
import { openBrowser } from './open-browser.ts'

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
    .describe(`port of the page; 0 takes one that is free (default: ${studioPort})`),
}

/** Values of the flags. */
export interface StudioFlags {
  ui: boolean
  uiPort?: number | undefined
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
  let studio: StudioProcess | undefined
  const onError = (error: unknown) => context.warn(faultText(error))
  try {
    return await run({
      async onFolder(folder) {
        if (studio !== undefined) return
        studio = await startStudioProcess({ roots: [folder], port: uiPort ?? studioPort }, { onError })
        context.log(`The studio shows the run on ${studio.url}, and ends with it.`)
        // Without a browser, the address is on the terminal.
        if (!context.json) void openBrowser(studio.url)
      },
      onModel: (model) => LiveModel.open(model, {}, { onError }),
    })
  } finally {
    await studio?.close()
  }
}
