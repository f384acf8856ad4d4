// A port with an application behind it: limits on clients, the reasons why a port cannot be had, and who may reach it.
import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer as createHttpServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAdaptorServer, type HttpBindings } from '@hono/node-server'
import type { MiddlewareHandler } from 'hono'
import { ConfigError } from '../../core/index.ts'
import { noteArrival } from '../arrivals.ts'
import { ApiError } from './errors.ts'

/** Hosts of a server on the loopback interface. */
export const loopbackHosts: readonly string[] = ['localhost', '127.0.0.1', '[::1]']

/** Paths without a token, so that a load balancer can ask whether the server is up. */
const openPaths = new Set(['/health'])

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Whether a text is the token, in a time that tells nothing of it: digests have one length. */
export const tokenTest = (token: string): ((given: string | undefined) => boolean) => {
  const wanted = digest(token)
  return (given) => given !== undefined && timingSafeEqual(digest(given), wanted)
}

export const bearerToken = (header: string | undefined): string | undefined => /^Bearer (.+)$/i.exec(header ?? '')?.[1]

/**
 * Refuses requests for other host names, which a web page can send to a local server by changing its own DNS record.
 * @param hosts names without ports
 */
export const checkHost =
  (hosts: readonly string[]): MiddlewareHandler =>
  async (c, next) => {
    const host = (c.req.header('host') ?? '').toLowerCase().replace(/:\d*$/, '')
    if (!hosts.includes(host))
      throw new ApiError(
        403,
        `Expected one of ${hosts.join(', ')} for the header \`host\`, got "${host.slice(0, 80)}". Add it to the allowed hosts.`,
        { code: 'host_not_allowed' },
      )
    await next()
  }

/** Refuses requests without the token. */
export const checkToken = (token: string): MiddlewareHandler => {
  const fits = tokenTest(token)
  return async (c, next) => {
    if (!fits(bearerToken(c.req.header('authorization'))) && !openPaths.has(c.req.path))
      throw new ApiError(401, 'Expected the token of this server in the header `authorization: Bearer …`.', {
        code: 'invalid_api_key',
        headers: { 'www-authenticate': 'Bearer' },
      })
    await next()
  }
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127\./.test(host)

/** Limits on clients that send or read slowly: each would hold a connection as long as it likes. */
export interface ConnectionLimits {
  /** Maximum seconds in which the headers of a request come (default: 10). */
  headerSeconds?: number
  /** Maximum seconds in which a whole request comes (default: 60). */
  bodySeconds?: number
  /**
   * Seconds after which a client that reads nothing of its answer is dropped (default: 60). Streams without new text send a comment every
   * 15 seconds: with fewer, clients that read would be dropped too.
   */
  readSeconds?: number
}

/** How a server shares the process with other code. */
export interface ProcessSettings {
  /**
   * Replaces the global `Request` and `Response` of the process by those of `@hono/node-server`, which make their parts when these are
   * read and so take less time for small answers (default: false, as other code may compare them with the originals).
   */
  replaceGlobals?: boolean
}

const maxConnections = 1024

const serverOptions = ({ headerSeconds = 10, bodySeconds = 60 }: ConnectionLimits) => ({
  maxHeaderSize: 16 * 1024,
  headersTimeout: headerSeconds * 1000,
  requestTimeout: Math.max(headerSeconds, bodySeconds) * 1000,
  keepAliveTimeout: 10_000,
  // Node looks twice a minute by itself, which would make ten seconds forty.
  connectionsCheckingInterval: Math.min(1000, headerSeconds * 500),
})

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
export const hostsOf = (host: string): string[] | undefined =>
  isLoopback(host) ? [...new Set([...loopbackHosts, host])] : undefined

export interface Listening {
  server: Server
  port: number
  url: string
  /** Resolves when clients have read the answers that are on their way, or after some milliseconds. */
  delivered(milliseconds: number): Promise<void>
}

/** Answers one request; `env` has Node's own objects of it. */
type Fetch = Parameters<typeof createAdaptorServer>[0]['fetch']

/**
 * Listens, with limits on slow and large requests.
 * @throws ConfigError for a port that is taken, or that this user may not use
 */
export const listen = async (
  host: string,
  port: number,
  fetch: Fetch,
  limits: ConnectionLimits & ProcessSettings = {},
): Promise<Listening> => {
  const { readSeconds = 60, replaceGlobals = false } = limits
  const answers = new Set<HttpBindings['outgoing']>()
  const answer: Fetch = async (request, env) => {
    const { incoming, outgoing } = env as HttpBindings
    answers.add(outgoing)
    outgoing.once('close', () => answers.delete(outgoing))
    const response = await fetch(request, env)
    // Streams have a comment now and then, so from now on only a client that does not read keeps a connection silent. Node takes the
    // limit back at the end of the answer.
    incoming.socket.setTimeout(readSeconds * 1000)
    return response
  }
  const server = createAdaptorServer({
    fetch: answer,
    overrideGlobalObjects: replaceGlobals,
    createServer: createHttpServer,
    serverOptions: serverOptions(limits),
  }) as Server
  server.maxConnections = maxConnections
  server.on('clientError', answerClientError)
  server.on('connection', noteArrival)
  server.on('request', noteArrival)
  const bound = await bind(server, port, host)
  return {
    server,
    port: bound,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    async delivered(milliseconds) {
      const all = [...answers].map((open) => new Promise((resolve) => open.once('close', resolve)))
      const limit = new AbortController()
      await Promise.race([Promise.all(all), sleep(milliseconds, undefined, limit).catch(() => undefined)])
      limit.abort()
    },
  }
}

/** @throws ConfigError for a server that anyone on the network could use */
export const checkAccess = (host: string, token: string | undefined): void => {
  if (token !== undefined && token.length < 8)
    throw new ConfigError('Expected a token of at least 8 characters for `token`, got a shorter one.')
  if (!isLoopback(host) && token === undefined)
    throw new ConfigError(
      `A server on ${host} needs a token, since other machines can reach it: set \`--token-file\` (\`token\` in TypeScript), or listen on 127.0.0.1.`,
    )
}
