// The server: models in memory behind an HTTP port.
import { createServer as createHttpServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { ConfigError } from '../core/index.ts'
import { type AppSettings, createApp } from './app.ts'
import { ApiError } from './http/errors.ts'
import { loopbackHosts } from './http/guards.ts'
import { Service, type ServiceHooks, type ServiceSettings } from './service.ts'

/** Settings of a server. */
export interface ServerSettings extends ServiceSettings, AppSettings {
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

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127\./.test(host)

/** Limits on clients that send slowly or too much before there is a request. */
const httpLimits = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 60_000,
  keepAliveTimeout: 10_000,
}
const maxConnections = 1024

/** Node's errors before there is a request, as statuses. */
const statusOf = (code: string | undefined): 400 | 408 | 431 =>
  code === 'HPE_HEADER_OVERFLOW' ? 431 : code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400

const phrases = { 400: 'Bad Request', 408: 'Request Timeout', 431: 'Request Header Fields Too Large' }

/** Answers what is not even a request in OpenAI's form, and closes the connection. */
const answerClientError = (error: NodeJS.ErrnoException, socket: Socket): void => {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const status = statusOf(error.code)
  const body = JSON.stringify(
    new ApiError(status, `Expected an HTTP request, got: ${phrases[status].toLowerCase()}.`).body,
  )
  socket.end(
    `HTTP/1.1 ${status} ${phrases[status]}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}

const listen = (server: Server, port: number, host: string): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reasons: Record<string, string> = {
        EADDRINUSE: 'another program listens on it. Choose another port, or stop that program.',
        EACCES: 'this user may not listen on it. Choose a port above 1023.',
        EADDRNOTAVAIL: 'this machine has no such address. Choose another host.',
      }
      const reason = reasons[error.code ?? '']
      reject(reason === undefined ? error : new ConfigError(`Cannot listen on ${host}, port ${port}: ${reason}`))
    })
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port))
  })

/** @throws ConfigError for a server that anyone on the network could use */
const checkAccess = (host: string, token: string | undefined): void => {
  if (token !== undefined && token.length < 8)
    throw new ConfigError('Expected a token of at least 8 characters for `token`, got a shorter one.')
  if (!isLoopback(host) && token === undefined)
    throw new ConfigError(
      `A server on ${host} needs a \`token\`, since other machines can reach it: set one, or listen on 127.0.0.1.`,
    )
}

/**
 * Loads the models and listens.
 * @throws ConfigError for a port that is taken or a host that needs a token, CheckpointError for files that cannot be loaded
 */
export const createServer = async (settings: ServerSettings, hooks: ServiceHooks = {}): Promise<RunningServer> => {
  const { port = 8080, host = '127.0.0.1', token, drainSeconds = 30 } = settings
  checkAccess(host, token)
  const allowedHosts = settings.allowedHosts ?? (isLoopback(host) ? [...loopbackHosts, host] : undefined)
  let service: Service | undefined
  // The port is taken before the models are loaded, which may take long; until then requests get status 503.
  const server = createAdaptorServer({
    fetch: (request, env) => {
      if (app === undefined)
        return new Response('{"status":"loading"}', { status: 503, headers: { 'retry-after': '5' } })
      return app.fetch(request, env)
    },
    overrideGlobalObjects: false,
    createServer: createHttpServer,
    serverOptions: httpLimits,
  }) as Server
  let app: ReturnType<typeof createApp> | undefined
  server.maxConnections = maxConnections
  server.on('clientError', answerClientError)
  const bound = await listen(server, port, host)
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
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    port: bound,
    service: opened,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      await opened.drain(drainSeconds)
      server.closeIdleConnections()
      // Clients may keep connections open that no request uses.
      const timer = setTimeout(() => server.closeAllConnections(), 1000)
      await closed
      clearTimeout(timer)
      opened.close()
    },
  }
}
