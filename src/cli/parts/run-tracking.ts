// `--track` of every command that trains: trackers of experiments that get the run while it trains.
import { basename } from 'node:path'
import { z } from 'zod'
import { ConfigError, makeFolder } from '../../core/index.ts'
import type { RunListener } from '../../runs/index.ts'
import { followRun, type RunTracking, type TrackerChoice, trackerNames } from '../../tracking/index.ts'
import type { CommandContext } from '../command.ts'
import { type StudioFlags, studioFields, withStudio } from './run-studio.ts'

/** The flags of every command that trains: its page, and its trackers. */
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
    .describe(
      'trackers: address of the server; W&B writes offline files without one (default: MLFLOW_TRACKING_URI, TRACKIO_SERVER_URL)',
    ),
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
