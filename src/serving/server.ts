// The server: models in memory behind an HTTP port.
import { type AppSettings, createApp } from './app.ts'
import { ApiError, errorResponse } from './http/errors.ts'
import { type ConnectionLimits, checkAccess, hostsOf, listen, type ProcessSettings } from './http/listen.ts'
import { checkLimits, Service, type ServiceHooks, type ServiceSettings } from './service.ts'

/** Settings of a server. */
export interface ServerSettings extends ServiceSettings, AppSettings, ConnectionLimits, ProcessSettings {
  /** Port to listen on; 0 for any that is free (default: 8080). */
  port?: number
  /** Address to listen on (default: 127.0.0.1). Any other than a loopback address needs a token. */
  host?: string
  /** Seconds in which running requests may finish when the server stops (default: 30). */
  drainSeconds?: number
}

/** A server that listens. */
export interface RunningServer {
  readonly url: string
  readonly port: number
  readonly service: Service
  /** Takes no new requests, waits for those that run, and frees the models. */
  close(): Promise<void>
}

/** What requests get until the models are loaded. */
const loadingResponse = (request: Request): Response => {
  const headers = { 'retry-after': '5' }
  if (new URL(request.url).pathname === '/health') return Response.json({ status: 'loading' }, { status: 503, headers })
  return errorResponse(
    new ApiError(503, 'The server loads its models. Try again in some seconds.', { code: 'server_loading', headers }),
  )
}

/**
 * Loads the models and listens.
 * @throws ConfigError for a port that is taken or a host that needs a token, CheckpointError for files that cannot be loaded
 */
export const createServer = async (settings: ServerSettings, hooks: ServiceHooks = {}): Promise<RunningServer> => {
  const { port = 8080, host = '127.0.0.1', token, drainSeconds = 30 } = settings
  checkLimits(settings)
  checkAccess(host, token)
  const allowedHosts = settings.allowedHosts ?? hostsOf(host)
  let app: ReturnType<typeof createApp> | undefined
  let service: Service | undefined
  // The port is taken before the models are loaded, which may take long; until then requests get status 503.
  const listening = await listen(
    host,
    port,
    (request, env) => (app === undefined ? loadingResponse(request) : app.fetch(request, env)),
    settings,
  )
  const { server, port: bound, url } = listening
  try {
    service = await Service.open(settings, hooks)
  } catch (error) {
    server.closeAllConnections()
    server.close()
    throw error
  }
  const opened = service
  app = createApp(opened, { token, allowedHosts })
  return {
    url,
    port: bound,
    service: opened,
    async close() {
      // The server listens until then, so that probes get the status 503 and clients an error that says why.
      const until = performance.now() + drainSeconds * 1000
      await opened.drain(drainSeconds)
      // A text is done before a slow client has read it.
      await listening.delivered(Math.max(0, until - performance.now()))
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      // Clients may keep connections open that no request uses.
      const timer = setTimeout(() => server.closeAllConnections(), 1000)
      await closed
      clearTimeout(timer)
      opened.close()
    },
  }
}
