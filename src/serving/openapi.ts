// The OpenAPI document of the server, from the schemas that check the requests.
import { z } from 'zod'
import { packageVersion } from '../core/index.ts'
import type { Endpoint } from './endpoints/endpoint.ts'

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

/** The document for these endpoints. */
export const openApiDocument = (endpoints: readonly Endpoint[]): object => {
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
