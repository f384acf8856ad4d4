// The trackers that a run can be sent to, by name with their settings: for `send`, and for runs that are sent while they train.
import { ConfigError } from '../../core/index.ts'
import type { RunDestination } from './destination.ts'
import { mlflowDestination } from './mlflow.ts'
import { trackioDestination } from './trackio.ts'
import { wandbDestination, wandbServerDestination } from './wandb.ts'

/** Settings of a tracker. */
interface TrackerSettings {
  /** Project of W&B or trackio, or experiment of MLflow. */
  project: string
  /** User or team of W&B. */
  entity?: string | undefined
  /** Folder of W&B's offline runs. */
  out?: string | undefined
  /** Address of a server; W&B without one is offline files. */
  url?: string | undefined
}

type Open = (settings: TrackerSettings, signal: AbortSignal) => RunDestination

const destinations = {
  wandb({ project, entity, out, url }, signal) {
    if (url === undefined) return wandbDestination({ out: out ?? 'wandb', project, entity })
    if (out !== undefined)
      throw new ConfigError('`out` is the folder of offline files, and `url` a server of W&B: remove one of them.')
    if (!/^https?:\/\/./.test(url))
      throw new ConfigError(
        `Expected the address of a W&B server, got ${url}. Name one such as https://api.wandb.ai, or leave it out to write offline files.`,
      )
    return wandbServerDestination({ url, project, entity, signal })
  },
  mlflow({ project, entity, out, url = process.env.MLFLOW_TRACKING_URI }, signal) {
    if (entity !== undefined || out !== undefined)
      throw new ConfigError('`entity` and `out` need `to` wandb: an MLflow server has neither. Remove them.')
    if (url === undefined || !/^https?:\/\//.test(url))
      throw new ConfigError(
        `Expected the address of an MLflow server, got ${url ?? 'none'}. Name one such as http://127.0.0.1:5000, or set MLFLOW_TRACKING_URI.`,
      )
    return mlflowDestination({ url, experiment: project, signal })
  },
  trackio({ project, entity, out, url = process.env.TRACKIO_SERVER_URL }, signal) {
    if (entity !== undefined || out !== undefined)
      throw new ConfigError('`entity` and `out` need `to` wandb: a trackio server has neither. Remove them.')
    if (url === undefined || !/^https?:\/\/./.test(url))
      throw new ConfigError(
        `Expected the address of a trackio server, got ${url ?? 'none'}. Start one with \`trackio show\`, and give the address that it prints.`,
      )
    return trackioDestination({ url, project, signal })
  },
} as const satisfies Readonly<Record<string, Open>>

/** A tracker with its settings. */
export interface TrackerChoice extends TrackerSettings {
  to: keyof typeof destinations
}

/** Names of trackers. */
export const trackerNames = Object.keys(destinations) as [keyof typeof destinations, ...(keyof typeof destinations)[]]

/** The place that a tracker is, of which one object takes one run. Sends nothing yet. @throws ConfigError for settings that it does not have */
export const openDestination = (choice: TrackerChoice, signal: AbortSignal): RunDestination =>
  destinations[choice.to](choice, signal)
