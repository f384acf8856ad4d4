// `--ui` and `--track` of every command that trains: the studio in a process of its own, with the model in training for its playground, and
// trackers of experiments that get the run while it trains.
import { basename } from 'node:path'
import { z } from 'zod'
import { ConfigError, faultText, makeFolder } from '../../core/index.ts'
import type { RunListener } from '../../runs/index.ts'
import { LiveModel, type StudioProcess, startStudioProcess, studioPort } from '../../serving/index.ts'
import { followRun, type RunTracking, type TrackerChoice, trackerNames } from '../../tracking/index.ts'
import type { CommandContext } from '../command.ts'
import { switchField, textField } from './fields.ts'
import { openBrowser } from './open-browser.ts'

/** The flags of every command that trains: its page, and its trackers. */
export const watchFields = {
  ui: switchField('whether to show the run in the browser while it trains, and to answer prompts between its steps'),
  uiPort: z
    .int()
    .min(0)
    .max(65_535)
    .optional()
    .describe(`port of the page; 0 takes one that is free (default: ${studioPort})`),
  track: z
    .array(z.enum(trackerNames))
    .default([])
    .describe('trackers that get the run while it trains; nothing is sent to others (default: none)'),
  trackProject: z
    .string()
    .min(1)
    .optional()
    .describe('trackers: project of W&B or trackio, or experiment of MLflow (default: tunesmith)'),
  trackUrl: textField(
    'trackers: address of the server; W&B writes offline files without one (default: MLFLOW_TRACKING_URI, TRACKIO_SERVER_URL)',
  ),
}

/** Values of the flags. */
export interface WatchFlags {
  ui: boolean
  uiPort?: number | undefined
  track: readonly TrackerChoice['to'][]
  trackProject?: string | undefined
  trackUrl?: string | undefined
}

/**
 * Runs a command that trains with the studio beside it, if its flags say so.
 * @throws ConfigError for a port without `--ui`, or one that is taken
 */
const withStudio = async <Result>(
  context: CommandContext,
  { ui, uiPort }: WatchFlags,
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

/** The flags beside those of the command. */
export const watchFlagsOf = <Options extends WatchFlags>(
  options: Options,
): [flags: WatchFlags, rest: Omit<Options, keyof WatchFlags>] => {
  const { ui, uiPort, track, trackProject, trackUrl, ...rest } = options
  return [{ ui, uiPort, track, trackProject, trackUrl }, rest]
}

/** @throws ConfigError for settings without a tracker that has them */
const trackersOf = ({ track, trackProject, trackUrl }: WatchFlags): TrackerChoice[] => {
  if (track.length === 0 && (trackProject !== undefined || trackUrl !== undefined))
    throw new ConfigError('`trackProject` and `trackUrl` need `track`: name a tracker, or remove them.')
  const names = [...new Set(track)]
  // W&B beside another tracker is its offline files.
  const servers = names.length === 1 ? names : names.filter((to) => to !== 'wandb')
  if (trackUrl !== undefined && servers.length !== 1)
    throw new ConfigError(
      `Expected one server for \`trackUrl\`, got the trackers ${names.join(', ')}. Give addresses by MLFLOW_TRACKING_URI and TRACKIO_SERVER_URL instead.`,
    )
  return names.map((to) => ({
    to,
    project: trackProject ?? 'tunesmith',
    ...(servers.includes(to) ? { url: trackUrl } : {}),
  }))
}

/** The trackers of a command. @param sweep folder of a sweep, whose runs are followed one after another */
const openTracking = (context: CommandContext, flags: WatchFlags, sweep?: string): RunTracking =>
  followRun(
    trackersOf(flags),
    {
      onWarning: (line) => context.warn(line),
      onSent: (tracker, { run, steps, place }) =>
        context.log(`${tracker} has ${sweep === undefined ? 'the run' : basename(run)}: ${steps} steps in ${place}`),
    },
    sweep,
  )

/**
 * Runs a sweep with the studio and trackers beside it, as its flags say.
 * @throws ConfigError for flags that do not fit each other
 */
export const watchedSweep = async <Result>(
  context: CommandContext,
  flags: WatchFlags,
  folder: string,
  run: (tracking: RunTracking) => Promise<Result>,
): Promise<Result> => {
  const tracking = openTracking(context, flags, folder)
  try {
    return await withStudio(context, flags, async (own) => {
      if (flags.ui) await makeFolder(folder, 'out')
      await own.onFolder?.(folder)
      return run(tracking)
    })
  } finally {
    await tracking.end()
  }
}

/**
 * Runs a command that trains with the studio and trackers beside it, as its flags say.
 * @throws ConfigError for flags that do not fit each other
 */
export const watched = async <Result>(
  context: CommandContext,
  flags: WatchFlags,
  run: (listener: Pick<RunListener, 'onFolder' | 'onModel'>) => Promise<Result>,
): Promise<Result> => {
  const tracking = openTracking(context, flags)
  try {
    return await withStudio(context, flags, (own) =>
      run({
        ...own,
        async onFolder(folder) {
          tracking.start(folder)
          await own.onFolder?.(folder)
        },
      }),
    )
  } finally {
    await tracking.end()
  }
}
