// What a request must pass before anything reads it: the host it was sent to, and the token.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { MiddlewareHandler } from 'hono'
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

/** The token in the header of a request. */
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
