// The studio behind a port: `tunesmith ui`, and `--ui` of the commands that train.
import { checkAccess, hostsOf, listen } from '../http/listen.ts'
import { readPages } from './built-pages.ts'
import { Studio, type StudioHooks, type StudioSettings } from './studio.ts'
import { createStudioApp } from './studio-app.ts'

/** Port of a studio, unless another is given. */
export const studioPort = 7878

/** Settings of a studio that listens. */
export interface StudioServerSettings extends StudioSettings {
  /** Port to listen on; 0 for any that is free (default: 7878). */
  port?: number
  /** Address to listen on (default: 127.0.0.1). Any other than a loopback address needs a token. */
  host?: string
  /** Token that pages must have (default: none). */
  token?: string
}

/** A studio that listens. */
export interface RunningStudio {
  /** Address of the first page, with the token if there is one. */
  readonly url: string
  readonly port: number
  readonly studio: Studio
  close(): Promise<void>
}

/**
 * Opens the runs and listens.
 * @throws ConfigError for a folder that is missing, a port that is taken, or a host that needs a token
 */
export const createStudio = async (
  settings: StudioServerSettings = {},
  hooks: StudioHooks = {},
): Promise<RunningStudio> => {
  const { port = studioPort, host = '127.0.0.1', token } = settings
  checkAccess(host, token)
  const pages = await readPages()
  const studio = await Studio.open(settings, hooks)
  const app = createStudioApp(studio, { pages, token, allowedHosts: hostsOf(host) })
  const { server, port: bound, url } = await listen(host, port, app.fetch)
  return {
    url: token === undefined ? url : `${url}/?token=${encodeURIComponent(token)}`,
    port: bound,
    studio,
    close: () =>
      new Promise<void>((resolve) => {
        studio.close()
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
