// One span for each request, through an API with the form of `@opentelemetry/api`, which records what it is told.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createServer, type RunningServer, type SpanAttributes, type Telemetry } from '../../src/serving/index.ts'
import { type ModelFolders, makeFolders } from './fixture.ts'

interface Recorded {
  name: string
  parent: unknown
  attributes: SpanAttributes
  faults: string[]
  ended: number
}

const spans: Recorded[] = []
const telemetry: Telemetry = {
  trace: {
    getTracer: () => ({
      startSpan(name, { attributes }, parent) {
        const span: Recorded = { name, parent, attributes: { ...attributes }, faults: [], ended: 0 }
        spans.push(span)
        return {
          setAttributes: (more) => Object.assign(span.attributes, more),
          setStatus: ({ message = '' }) => span.faults.push(message),
          recordException: (error) => void span.faults.push(error.name),
          end: () => void span.ended++,
        }
      },
    }),
  },
  context: { active: () => 'root' },
  propagation: { extract: (context, carrier) => carrier.traceparent ?? context },
}

let folders: ModelFolders
let server: RunningServer

beforeAll(async () => {
  folders = await makeFolders()
  server = await createServer({ port: 0, model: folders.base }, { telemetry })
})
afterAll(async () => {
  await server.close()
  folders.remove()
})

const ask = async (body: object, headers: Record<string, string> = {}): Promise<Recorded> => {
  const response = await fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'base', prompt: 'The ship', max_tokens: 5, ignore_eos: true, ...body }),
  })
  await response.text()
  return spans.at(-1)!
}

it('says what was asked and what it took, streamed or not', async () => {
  const wanted = {
    name: 'POST /v1/completions',
    attributes: {
      'http.request.method': 'POST',
      'http.route': '/v1/completions',
      'http.response.status_code': 200,
      'gen_ai.request.model': 'base',
      'gen_ai.usage.output_tokens': 10,
      'gen_ai.response.finish_reasons': ['length', 'length'],
    },
    faults: [],
    ended: 1,
  }
  expect(await ask({ n: 2 })).toMatchObject({ ...wanted, parent: 'root' })
  const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  expect(await ask({ n: 2, stream: true }, { traceparent: parent })).toMatchObject({ ...wanted, parent })
  expect(spans).toHaveLength(2)
})

it('ends for a request that is refused, before and after its body was read', async () => {
  for (const [body, status] of [
    [{ max_token: 1 }, 400],
    [{ model: 'nobody' }, 404],
  ] as const)
    expect(await ask(body)).toMatchObject({ attributes: { 'http.response.status_code': status }, faults: [], ended: 1 })
})
