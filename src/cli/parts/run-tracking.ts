// `--track` of every command that trains: trackers of experiments that get the run while it trains.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import type { RunListener } from '../../runs/index.ts'
import { followRun, type TrackerChoice, trackerNames } from '../../tracking/index.ts'
import type { CommandContext } from '../command.ts'
import { type StudioFlags, studioFields, withStudio } from './run-studio.ts'

/** The flags of every command that trains one run: its page, and its trackers. */
export const watchFields = {
  ...studioFields,
  track: z
    .array(z.enum(trackerNames))
    .default([])
    .describe('trackers that get the run while it trains; nothing is sent to others (default: none)'),
  trackProject: z
    .string()
    .min(1)
    .optional()
    .describe('trackers: project of W&B or trackio, or experiment of MLflow (default: tunesmith)'),
  trackUrl: z
    .string()
    .optional()
    .describe('trackers: address of the server (default: MLFLOW_TRACKING_URI, TRACKIO_SERVER_URL)'),
}

/** Values of the flags. */
export interface WatchFlags extends StudioFlags {
  track: readonly TrackerChoice['to'][]
  trackProject?: string | undefined
  trackUrl?: string | undefined
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
  const servers = track.filter((to) => to !== 'wandb')
  if (trackUrl !== undefined && servers.length !== 1)
    throw new ConfigError(
      `Expected one of mlflow and trackio for \`track\` beside \`trackUrl\`, got ${track.join(', ')}. Give addresses by MLFLOW_TRACKING_URI and TRACKIO_SERVER_URL instead.`,
    )
  return [...new Set(track)].map((to) => ({
    to,
    project: trackProject ?? 'tunesmith',
    ...(to === 'wandb' ? {} : { url: trackUrl }),
  }))
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
  const tracking = followRun(trackersOf(flags), {
    onWarning: (line) => context.warn(line),
    onSent: (tracker, { steps, place }) => context.log(`${tracker} has the run: ${steps} steps in ${place}`),
  })
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
