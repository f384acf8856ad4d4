// A port with an application behind it: limits on clients, the reasons why a port cannot be had, and who may reach it.
import { createServer as createHttpServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { ConfigError } from '../../core/index.ts'
import { ApiError } from './errors.ts'
import { loopbackHosts } from './guards.ts'

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

const bind = (server: Server, port: number, host: string): Promise<number> =>
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

/** Host names that requests may name, for an address to listen on; undefined for any. */
export const hostsOf = (host: string): string[] | undefined => (isLoopback(host) ? [...loopbackHosts, host] : undefined)

/** A server that listens. */
export interface Listening {
  server: Server
  port: number
  url: string
}

/** Answers one request; `env` has Node's own objects of it. */
type Fetch = Parameters<typeof createAdaptorServer>[0]['fetch']

/**
 * Listens, with limits on slow and large requests.
 * @throws ConfigError for a port that is taken, or that this user may not use
 */
export const listen = async (host: string, port: number, fetch: Fetch): Promise<Listening> => {
  const server = createAdaptorServer({
    fetch,
    overrideGlobalObjects: false,
    createServer: createHttpServer,
    serverOptions: httpLimits,
  }) as Server
  server.maxConnections = maxConnections
  server.on('clientError', answerClientError)
  const bound = await bind(server, port, host)
  return { server, port: bound, url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}` }
}

/** @throws ConfigError for a server that anyone on the network could use */
export const checkAccess = (host: string, token: string | undefined): void => {
  if (token !== undefined && token.length < 8)
    throw new ConfigError('Expected a token of at least 8 characters for `token`, got a shorter one.')
  if (!isLoopback(host) && token === undefined)
    throw new ConfigError(
      `A server on ${host} needs a \`token\`, since other machines can reach it: set one, or listen on 127.0.0.1.`,
    )
}
