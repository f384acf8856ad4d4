// The HTTP application: every endpoint behind the same guards, every error in OpenAI's form, and the OpenAPI document from the schemas that
// check the requests.

import { Hono } from 'hono'
import { routePath } from 'hono/route'
import { z } from 'zod'
import { didYouMean, packageVersion } from '../core/index.ts'
import { Call, type Endpoint } from './endpoints/endpoint.ts'
import { endpoints } from './endpoints/index.ts'
import { ApiError, errorResponse, toApiError } from './http/errors.ts'
import { checkHost, checkToken } from './http/listen.ts'
import type { Service } from './service.ts'

const json = (schema: object) => ({ 'application/json': { schema } })

const errorSchema = {
  type: 'object',
  properties: {
    error: {
      type: 'object',
      properties: {
        message: { type: 'string' },
        type: { type: 'string' },
        param: { type: ['string', 'null'] },
        code: { type: ['string', 'null'] },
      },
      required: ['message', 'type', 'param', 'code'],
    },
  },
  required: ['error'],
}

/** `/v1/models/:id{.+}` as OpenAPI writes it, with the names of its parameters. */
const pathOf = (path: string): { path: string; parameters: string[] } => {
  const parameters = [...path.matchAll(/:(\w+)(\{[^}]*\})?/g)].map(([, name]) => name)
  return { path: path.replace(/:(\w+)(\{[^}]*\})?/g, '{$1}'), parameters }
}

const openApiDocument = (endpoints: readonly Endpoint[]): object => {
  const paths: Record<string, Record<string, object>> = {}
  for (const { method, path: given, summary, body } of endpoints) {
    const { path, parameters } = pathOf(given)
    paths[path] = {
      ...paths[path],
      [method]: {
        summary,
        ...(parameters.length === 0
          ? {}
          : {
              parameters: parameters.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
            }),
        ...(body === undefined
          ? {}
          : { requestBody: { required: true, content: json(z.toJSONSchema(body, { io: 'input' })) } }),
        responses: {
          200: { description: 'The answer.' },
          default: { description: 'An error.', content: json({ $ref: '#/components/schemas/Error' }) },
        },
      },
    }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Tunesmith', version: packageVersion() },
    paths,
    components: {
      schemas: { Error: errorSchema },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
  }
}

/** Who may send requests. */
export interface AppSettings {
  /** Token that requests must have (default: none). */
  token?: string
  /** Host names that requests may be sent to, without ports (default: any). */
  allowedHosts?: readonly string[]
}

/** The application as a hono app, to serve alone or to mount in another one. */
export const createApp = (service: Service, { token, allowedHosts }: AppSettings = {}): Hono => {
  const app = new Hono()
  const paths = endpoints.map(({ path }) => path)
  if (allowedHosts !== undefined) app.use(checkHost(allowedHosts))
  if (token !== undefined) app.use(checkToken(token))
  app.use(async (c, next) => {
    if (service.draining && c.req.method !== 'GET')
      throw new ApiError(503, 'The server stops and takes no new requests.', {
        code: 'server_stopping',
        headers: { connection: 'close', 'retry-after': '5' },
      })
    await next()
    // A path with parameters is one line of the metrics; a wrong method of a known path has no route.
    const path = [routePath(c, -1), c.req.path].find((one) => paths.includes(one)) ?? 'other'
    service.metrics.responses.add({ path: path.replace(/\{.*\}/, ''), status: String(c.res.status) })
  })
  for (const endpoint of endpoints) app[endpoint.method](endpoint.path, (c) => Call.answer(service, endpoint, c))
  // Made for the first request that wants it: it takes a noticeable part of a start.
  let document: ReturnType<typeof openApiDocument> | undefined
  app.get('/openapi.json', (c) => {
    document ??= openApiDocument(endpoints)
    return c.json(document)
  })
  app.notFound((c) => {
    const known = endpoints.find(({ path }) => path === c.req.path)
    const error =
      known === undefined
        ? new ApiError(404, `There is no ${c.req.path.slice(0, 200)}.${didYouMean(c.req.path, paths)}`, {
            code: 'not_found',
          })
        : new ApiError(405, `Expected ${known.method.toUpperCase()} for ${known.path}, got ${c.req.method}.`, {
            code: 'method_not_allowed',
            headers: { allow: known.method.toUpperCase() },
          })
    return errorResponse(error)
  })
  app.onError((error) => {
    const known = toApiError(error)
    if (known.status === 500) service.report(error)
    return errorResponse(known)
  })
  return app
}
