// The studio as an HTTP application, and behind a port: `tunesmith ui`, and `--ui` of the commands that train. Its pages, its API, and what
// keeps other web sites and other users out.
import { Hono, type MiddlewareHandler } from 'hono'
import { getCookie, setCookie } from 'hono/cookie'
import { ConfigError, didYouMean, parseConfig } from '../../core/index.ts'
import { checkBody, readJson } from '../http/body.ts'
import { ApiError, badRequest, errorResponse, toApiError } from '../http/errors.ts'
import { bearerToken, checkAccess, checkHost, hostsOf, listen, tokenTest } from '../http/listen.ts'
import { type PageFile, readPages } from './built-pages.ts'
import type { StudioEndpoint } from './endpoint.ts'
import { studioEndpoints } from './endpoints/index.ts'
import { Studio, type StudioHooks, type StudioSettings } from './studio.ts'

/** Who may open the studio, and where its pages are. */
interface StudioAppSettings {
  /** The built pages by their paths. */
  pages: ReadonlyMap<string, PageFile>
  /** Token that the address of the first page or a header must have (default: none). */
  token?: string
  /** Host names that requests may be sent to, without ports (default: any). */
  allowedHosts?: readonly string[]
}

const maxBodyBytes = 2 ** 20

/** Nothing is loaded from elsewhere, and no text of a run can become a script. */
const policy = [
  "default-src 'none'",
  ...["script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:", "font-src 'self'", "connect-src 'self'"],
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join('; ')

const securityHeaders: MiddlewareHandler = async (c, next) => {
  await next()
  c.header('content-security-policy', policy)
  c.header('x-content-type-options', 'nosniff')
  c.header('referrer-policy', 'no-referrer')
  c.header('cross-origin-opener-policy', 'same-origin')
}

/** Refuses what pages of other sites send: a browser says where a request comes from. */
const checkOrigin: MiddlewareHandler = async (c, next) => {
  const site = c.req.header('sec-fetch-site')
  const isSafe = c.req.method === 'GET' || site === undefined || site === 'same-origin'
  if (!isSafe) throw new ApiError(403, 'Expected a request of the studio itself, got one of another site.')
  await next()
}

const cookieName = 'tunesmith-studio'

/** Accepts the token in a header, in a cookie, or once in the address, which then sets the cookie. */
const checkStudioToken = (token: string): MiddlewareHandler => {
  const fits = tokenTest(token)
  return async (c, next) => {
    const inAddress = c.req.query('token')
    if (inAddress !== undefined && fits(inAddress)) {
      setCookie(c, cookieName, token, { httpOnly: true, sameSite: 'Strict', path: '/' })
      return c.redirect(c.req.path)
    }
    if (!fits(bearerToken(c.req.header('authorization'))) && !fits(getCookie(c, cookieName)))
      throw new ApiError(401, 'Expected the token of this studio: open the address that `ui` printed.', {
        code: 'invalid_api_key',
      })
    await next()
  }
}

/** A file of the built pages. Their names have a hash of their content, apart from the first page. */
const servePage =
  (pages: ReadonlyMap<string, PageFile>): MiddlewareHandler =>
  async (c, next) => {
    const page = pages.get(c.req.path)
    if (page === undefined) return next()
    const cache = c.req.path === '/' ? 'no-cache' : 'public, max-age=31536000, immutable'
    return c.body(page.bytes, 200, { 'content-type': page.type, 'cache-control': cache })
  }

const checkQuery = (schema: StudioEndpoint['query'], query: Record<string, string>): Record<string, unknown> => {
  const unknown = Object.keys(query).find((key) => !Object.hasOwn(schema?.shape ?? {}, key))
  if (unknown !== undefined)
    throw badRequest(
      `\`${unknown}\` is no field of this query.${didYouMean(unknown, Object.keys(schema?.shape ?? {}))}`,
      unknown,
      'unknown_parameter',
    )
  try {
    return schema === undefined ? {} : parseConfig(schema, query, (path) => path.map(String).join('.'))
  } catch (error) {
    if (error instanceof ConfigError) throw badRequest(error.message)
    throw error
  }
}

/** The application. */
export const createStudioApp = (studio: Studio, { pages, token, allowedHosts }: StudioAppSettings): Hono => {
  const app = new Hono()
  app.use(securityHeaders)
  if (allowedHosts !== undefined) app.use(checkHost(allowedHosts))
  app.use(checkOrigin)
  if (token !== undefined) app.use(checkStudioToken(token))
  for (const { method, path, query, body, answer } of studioEndpoints)
    app[method](path, async (c) => {
      const value = body === undefined ? undefined : checkBody(body, await readJson(c.req.raw, maxBodyBytes))
      const found = await answer({
        studio,
        query: checkQuery(query, c.req.query()),
        body: value,
        signal: c.req.raw.signal,
        lastEventId: c.req.header('last-event-id'),
        param: (name) => c.req.param(name) ?? '',
        run: () => studio.runs.get(c.req.param('run') ?? ''),
        runWithColumns: () => studio.runs.getWithColumns(c.req.param('run') ?? ''),
        ask: async (path) => app.request(path, { headers: c.req.header() }),
      })
      return found instanceof Response ? found : c.json(found, 200, { 'cache-control': 'no-store' })
    })
  app.get('*', servePage(pages))
  app.notFound((c) =>
    errorResponse(new ApiError(404, `There is no ${c.req.path.slice(0, 200)}.`, { code: 'not_found' })),
  )
  app.onError((error) => {
    const known = toApiError(error)
    if (known.status === 500) studio.report(error)
    return errorResponse(known)
  })
  return app
}

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
