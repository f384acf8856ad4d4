// Bad input and hostile clients: an error in OpenAI's form, and a server that keeps serving.
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { listen } from '../../src/serving/http/listen.ts'
import { createServer, type RunningServer, Service } from '../../src/serving/index.ts'
import { emptyCache, memoryStatistics, resetPeakMemory } from '../../src/tensor/index.ts'
import { away, skippedAway } from '../device.ts'
import { type ModelFolders, makeFolders, startServer } from './fixture.ts'

const token = 'a-token-of-the-test'
let folders: ModelFolders
let server: RunningServer
let client: OpenAI
let url: string
const faults: unknown[] = []

beforeAll(async () => {
  folders = await makeFolders()
  const settings = { model: folders.base, token, maxWaiting: 2, maxRows: 2, maxBodyBytes: 200_000, drainSeconds: 5 }
  ;({ server, client, url } = await startServer(settings, (error) => faults.push(error)))
})
afterAll(async () => {
  await server.close()
  folders.remove()
  expect(faults).toEqual([])
})

const post = (body: string | Uint8Array, headers: Record<string, string> = {}, path = '/v1/chat/completions') =>
  fetch(`${url}${path}`, {
    method: 'POST',
    body: body as never,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
  })

const chat = (more: object = {}) =>
  JSON.stringify({ model: 'base', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 2, ...more })

/** Status and error of a response, whose form is checked. */
const errorOf = async (response: Response) => {
  const body = (await response.json()) as { error: Record<string, unknown> }
  expect(Object.keys(body)).toEqual(['error'])
  expect(Object.keys(body.error).sort()).toEqual(['code', 'message', 'param', 'type'])
  expect(JSON.stringify(body)).not.toContain(folders.folder)
  return { status: response.status, ...body.error }
}

const raw = (text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1', () => socket.write(text))
    let answer = ''
    socket.on('data', (data) => {
      answer += data
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })

describe('a request', () => {
  it.each<[string, string | Uint8Array, object]>([
    ['no JSON', '{"model": ', { status: 400, code: 'invalid_json' }],
    ['an empty body', '', { status: 400, code: 'invalid_json' }],
    ['a list', '[]', { status: 400 }],
    ['null', 'null', { status: 400 }],
    ['invalid UTF-8', Uint8Array.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), { status: 400, code: 'invalid_utf8' }],
    ['a deep nesting', '['.repeat(50_000), { status: 400, code: 'invalid_json' }],
    [
      'a deep value',
      `{"model":"base","messages":${'['.repeat(9000)}${']'.repeat(9000)}}`,
      { status: 400, param: 'messages[0]' },
    ],
    ['a body that is too large', ' '.repeat(300_000), { status: 413, code: 'request_too_large' }],
    ['a prompt of 10 MB', chat({ prompt: 'a '.repeat(5_000_000) }), { status: 413, code: 'request_too_large' }],
    [
      'a text that is too long',
      chat({ messages: [{ role: 'user', content: 'a'.repeat(50_000) }] }),
      { status: 400, code: 'context_length_exceeded' },
    ],
    [
      'a text beyond the context',
      chat({ messages: [{ role: 'user', content: 'a b'.repeat(900) }] }),
      { status: 400, code: 'context_length_exceeded' },
    ],
    ['a wrong type', chat({ temperature: 'hot' }), { status: 400, param: 'temperature' }],
    ['a number out of range', chat({ top_p: 0 }), { status: 400, param: 'top_p' }],
    ['a priority that is no number', chat({ priority: 'high' }), { status: 400, param: 'priority' }],
    ['an unknown field', chat({ stopp: 'x' }), { status: 400, param: 'stopp', code: 'unknown_parameter' }],
    ['a field that is not served', chat({ audio: {} }), { status: 400, param: 'audio', code: 'unsupported_parameter' }],
    ['a verbosity', chat({ verbosity: 'low' }), { status: 400, param: 'verbosity', code: 'unsupported_parameter' }],
    [
      'padded events',
      chat({ stream: true, stream_options: { include_obfuscation: true } }),
      { status: 400, param: 'stream_options.include_obfuscation', message: /got true\. Events are never padded/ },
    ],
    ['an answer to store', chat({ store: true }), { status: 400, param: 'store' }],
    ['a paid tier', chat({ service_tier: 'flex' }), { status: 400, param: 'service_tier' }],
    [
      'an unknown role',
      chat({ messages: [{ role: 'usr', content: 'x' }] }),
      { status: 400, param: 'messages[0].role' },
    ],
    ['no messages', chat({ messages: [] }), { status: 400, param: 'messages' }],
    ['an unknown model', chat({ model: 'gpt-4o' }), { status: 404, param: 'model', code: 'model_not_found' }],
    ['a path as the model', chat({ model: '../../etc/passwd' }), { status: 404, code: 'model_not_found' }],
    ['too many texts', chat({ n: 1000 }), { status: 400 }],
    [
      'more texts than there are places',
      chat({ n: 5 }),
      { status: 400, message: 'Expected at most 4 texts in one request, got 5.' },
    ],
  ])('with %s is refused', async (_, body, error) => {
    expect(await errorOf(await post(body))).toMatchObject(error)
  })

  it('with fields of OpenAI that change no text is answered, and so are nulls of those that are not served', async () => {
    const labels = { store: false, metadata: { run: 'a' }, service_tier: 'auto', user: 'u', safety_identifier: 's' }
    const choicesOf = async (more: object) =>
      ((await (await post(chat({ seed: 1, ...more }))).json()) as { choices: object[] }).choices
    const nulls = { audio: null, verbosity: null, reasoning_effort: null }
    const choices = await choicesOf({ ...labels, ...nulls, prompt_cache_key: 'k' })
    expect(choices).toHaveLength(1)
    expect(choices).toEqual(await choicesOf({}))
    const response = await post(
      JSON.stringify({ model: 'base', input: 'Hi', max_output_tokens: 2, ...labels, reasoning: null }),
      {},
      '/v1/responses',
    )
    expect(await response.json()).toMatchObject({ object: 'response', metadata: { run: 'a' } })
  })

  it('of 10 MB without a length is refused as soon as it is too large', async () => {
    const part = new Uint8Array(100_000).fill(97)
    let parts = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (parts++ < 100) controller.enqueue(part)
        else controller.close()
      },
    })
    const init = { method: 'POST', body, duplex: 'half' as const }
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    expect(await errorOf(await fetch(`${url}/v1/completions`, { ...init, headers }))).toMatchObject({ status: 413 })
  })

  it('needs the token, the type of its content, the path and the method', async () => {
    expect(await errorOf(await post(chat(), { authorization: 'Bearer wrong' }))).toMatchObject({
      status: 401,
      code: 'invalid_api_key',
    })
    expect(await errorOf(await fetch(`${url}/v1/models`))).toMatchObject({ status: 401 })
    expect(await errorOf(await post(chat(), { 'content-type': 'text/plain' }))).toMatchObject({ status: 415 })
    expect(await errorOf(await post(chat(), {}, '/v1/chat/completion'))).toMatchObject({
      status: 404,
      message: expect.stringContaining('/v1/chat/completions'),
    })
    const get = await fetch(`${url}/v1/chat/completions`, { headers: { authorization: `Bearer ${token}` } })
    expect(await errorOf(get)).toMatchObject({ status: 405 })
    expect((await fetch(`${url}/health`)).status).toBe(200)
  })

  it('for another host is refused', async () => {
    const status = await new Promise((resolve) => {
      const headers = { host: 'attacker.example', authorization: `Bearer ${token}` }
      httpRequest(`${url}/v1/models`, { headers }, (response) => resolve(response.resume().statusCode)).end()
    })
    expect(status).toBe(403)
  })

  it('that is not HTTP, or has too many headers, is answered', async () => {
    expect(await raw('nonsense\r\n\r\n')).toMatch(/^HTTP\/1.1 400 [\s\S]*"error"/)
    const header = `x: ${'a'.repeat(20_000)}\r\n`
    expect(await raw(`GET /health HTTP/1.1\r\nhost: localhost\r\n${header}\r\n`)).toMatch(
      /^HTTP\/1.1 431 [\s\S]*"error"/,
    )
  })

  it('that comes slowly blocks no other one', async () => {
    const socket = connect(server.port, '127.0.0.1')
    socket.write(
      `POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"model`,
    )
    await sleep(50)
    expect((await client.chat.completions.create(JSON.parse(chat()))).choices).toHaveLength(1)
    socket.destroy()
  })
})

describe('load', () => {
  const long = {
    model: 'base',
    max_tokens: 200,
    ignore_eos: true,
    temperature: 0,
    messages: [{ role: 'user' as const, content: 'Hi' }],
  }

  it('beyond the queue gets 429 with a time, and what runs is not disturbed', async () => {
    const results = await Promise.allSettled(
      Array.from({ length: 9 }, () => client.chat.completions.create(long as never)),
    )
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
    expect(refused.length).toBeGreaterThan(0)
    expect(refused.length).toBeLessThan(9)
    for (const { status, code, headers } of refused) {
      expect([status, code]).toEqual([429, 'rate_limit_exceeded'])
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    }
  })

  it('is begun in the order of its priority', async () => {
    const ended: string[] = []
    const ask = (name: string, more: object) =>
      client.chat.completions.create({ ...long, ...more } as never).then(() => ended.push(name))
    // Two rows: that of the shorter one is free first.
    const running = [ask('long', {}), ask('shorter', { max_tokens: 90 })]
    while (server.service.load.running < 2) await sleep(1)
    const waiting = [ask('late', { max_tokens: 2, priority: 1 }), ask('urgent', { max_tokens: 2, priority: -1 })]
    await Promise.all([...running, ...waiting])
    expect(ended.filter((name) => name === 'late' || name === 'urgent')).toEqual(['urgent', 'late'])
  })

  it('of clients that leave is dropped', async () => {
    const controllers = [new AbortController(), new AbortController()]
    const stream = (await client.chat.completions.create({ ...long, stream: true } as never, {
      signal: controllers[0].signal,
    })) as never as AsyncIterable<unknown>
    const whole = client.chat.completions
      .create(long as never, { signal: controllers[1].signal })
      .catch((error) => error.name)
    let chunks = 0
    await (async () => {
      for await (const _ of stream) if (++chunks === 3) for (const controller of controllers) controller.abort()
    })().catch(() => undefined)
    await whole
    for (let i = 0; i < 100 && server.service.openRequests > 0; i++) await sleep(10)
    expect(server.service.openRequests).toBe(0)
    expect(server.service.load).toEqual({ waiting: 0, running: 0, queued: 0 })
    expect(chunks).toBeLessThan(100)
  })

  it('that a client reads slowly is kept', async () => {
    const response = await post(JSON.stringify({ ...long, stream: true }))
    await sleep(300)
    expect(await response.text()).toMatch(/data: \[DONE\]\n\n$/)
  })
})

describe('the server', () => {
  it('shows its metrics under the names of vLLM, and its schemas', async () => {
    const headers = { authorization: `Bearer ${token}` }
    const text = await (await fetch(`${url}/metrics`, { headers })).text()
    expect(text).toMatch(/^vllm:num_requests_running\{model_name="base"\} 0$/m)
    expect(text).toMatch(/^vllm:generation_tokens_total\{model_name="base"\} [1-9]/m)
    expect(text).toMatch(/^vllm:time_to_first_token_seconds_bucket\{model_name="base",le="\+Inf"\} [1-9]/m)
    // One line for all models: their names do not multiply it.
    await fetch(`${url}/v1/models/base`, { headers })
    const after = await (await fetch(`${url}/metrics`, { headers })).text()
    expect(after).toMatch(/^tunesmith:http_responses_total\{path="\/v1\/models\/:id",status="200"\} 1$/m)
    const document = (await (await fetch(`${url}/openapi.json`, { headers })).json()) as {
      info: { version?: string }
      paths: Record<string, never>
    }
    expect(document.info.version).toMatch(/^\d+\.\d+\.\d+/)
    const { post: chats } = document.paths['/v1/chat/completions'] as {
      post: { requestBody: { content: Record<string, { schema: { properties: object } }> } }
    }
    expect(Object.keys(chats.requestBody.content['application/json'].schema.properties)).toContain('logit_bias')
  })

  it('does not start on a port that is taken, or open to a network without a token', async () => {
    await expect(createServer({ model: folders.base, port: server.port })).rejects.toThrow(/another program listens/)
    await expect(createServer({ model: folders.base, host: '0.0.0.0', port: 0 })).rejects.toThrow(
      /needs a token, .* set `--token-file` \(`token` in TypeScript\)/,
    )
    await expect(createServer({ model: folders.base, port: 0, specialists: { '../x': folders.low } })).rejects.toThrow(
      /name of letters/,
    )
    expect((await client.models.list()).data).toHaveLength(1)
  })

  it.each([
    [{ maxRows: 0 }, 'maxRows'],
    [{ maxWaiting: 1.5 }, 'maxWaiting'],
    [{ requestSeconds: -1 }, 'requestSeconds'],
    [{ readSeconds: Number.NaN }, 'readSeconds'],
    [{ maxBodyBytes: '4' as never }, 'maxBodyBytes'],
    [{ port: 70_000 }, 'port'],
  ])('does not start with %j', async (limits, name) => {
    await expect(createServer({ model: folders.base, port: 0, ...limits })).rejects.toThrow(
      new RegExp(`^Expected .*${name}`),
    )
  })

  it('says that it loads its models until they are there', async () => {
    let open: () => void = () => undefined
    const loaded = new Promise<void>((resolve) => {
      open = resolve
    })
    const { open: load } = Service
    const spy = vi.spyOn(Service, 'open').mockImplementation(async (...given) => {
      await loaded
      return load.apply(Service, given)
    })
    // The port of a server that has ended is free.
    const other = await listen('127.0.0.1', 0, () => new Response())
    await new Promise((resolve) => other.server.close(resolve))
    const starting = createServer({ model: folders.base, port: other.port })
    const health = await fetch(`${other.url}/health`)
    expect([health.status, await health.json()]).toEqual([503, { status: 'loading' }])
    const early = await fetch(`${other.url}/v1/models`)
    expect(early.headers.get('retry-after')).toBe('5')
    expect(await errorOf(early)).toMatchObject({ status: 503, code: 'server_loading' })
    open()
    const started = await starting
    spy.mockRestore()
    expect((await fetch(`${other.url}/health`)).status).toBe(200)
    await started.close()
  })

  const ownLimit = skippedAway(
    "compositions take more than the memory of the CPU's kernels, which the limit is a share of",
  )
  it.skipIf(away)(
    `keeps to a limit on memory: fewer texts are computed together, and all are answered alike${ownLimit}`,
    async () => {
      const crowd = async (more: object) => {
        emptyCache()
        const before = memoryStatistics().inUse
        resetPeakMemory()
        const other = await startServer({ model: folders.base, maxRows: 16, ...more })
        const requests = Array.from({ length: 12 }, (_, i) =>
          other.client.completions.create({ model: 'base', prompt: `The sea ${i}`, max_tokens: 200, seed: i }),
        )
        const texts = (await Promise.all(requests)).map(({ choices }) => choices[0].text)
        const { peak, limit } = memoryStatistics()
        await other.server.close()
        return { texts, before, peak, limit }
      }
      const free = await crowd({})
      // Memory runs out in other parts of a step each time.
      for (const share of [0.55, 0.7, 0.8, 0.9]) {
        const memoryBytes = Math.floor(free.before + share * (free.peak - free.before))
        const limited = await crowd({ memoryBytes })
        expect([free.limit, limited.limit, memoryStatistics().limit]).toEqual([undefined, memoryBytes, undefined])
        expect(limited.peak).toBeLessThanOrEqual(memoryBytes)
        expect(limited.texts).toEqual(free.texts)
      }
      await expect(startServer({ model: folders.base, memoryBytes: 0 })).rejects.toThrow(/memoryBytes/)
    },
  )

  it('finishes what it has accepted before it stops', async () => {
    const other = await startServer({ model: folders.base, drainSeconds: 20 })
    const running = Array.from({ length: 4 }, (_, i) =>
      other.client.completions.create({
        model: 'base',
        prompt: 'The',
        max_tokens: 60,
        ...(i > 1 ? { ignore_eos: true } : {}),
      } as never),
    ) as never as Promise<OpenAI.Completion>[]
    // Its headers are taken, and its body comes while the server stops.
    const late = connect(other.server.port, '127.0.0.1')
    const body = JSON.stringify({ model: 'base', prompt: 'The', max_tokens: 3 })
    const head = `host: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
    late.write(`POST /v1/completions HTTP/1.1\r\n${head}${body.slice(0, 9)}`)
    let answer = ''
    late.on('data', (data) => {
      answer += data
    })
    const ended = new Promise((resolve) => late.once('close', resolve))
    // On a busy machine the first may be answered before the last arrives.
    let answered = 0
    const count = () => void answered++
    for (const request of running) void request.then(count, count)
    while (other.server.service.openRequests + answered < 4) await sleep(5)
    const closed = other.server.close()
    setTimeout(() => late.write(body.slice(9)), 1500)
    const health = await fetch(`${other.url}/health`)
    expect([health.status, await health.json()]).toEqual([503, { status: 'stopping' }])
    const refused = other.client.completions.create({ model: 'base', prompt: 'The', max_tokens: 1 })
    await expect(refused).rejects.toMatchObject({ status: 503, code: 'server_stopping' })
    for (const answer of await Promise.all(running)) expect(answer.choices).toHaveLength(1)
    await ended
    expect(answer).toMatch(/^HTTP\/1.1 200 [\s\S]*"choices"/)
    await closed
    await expect(fetch(`${other.url}/health`)).rejects.toThrow()
  })

  it('ends a request that takes too long', async () => {
    const other = await startServer({ model: folders.base, requestSeconds: 0.02 })
    await expect(other.client.chat.completions.create({ ...long(), n: 8 } as never)).rejects.toMatchObject({
      status: 504,
      code: 'timeout',
    })
    // Neither is one forward pass, which nothing could end.
    const prompt = Array.from({ length: 64 }, (_, i) => new Array(200).fill(i + 5))
    for (const asked of [
      other.client.completions.create({ model: 'base', prompt, max_tokens: 0, echo: true, logprobs: 0 }),
      other.client.embeddings.create({ model: 'base', input: prompt }),
    ])
      await expect(asked).rejects.toMatchObject({ status: 504, code: 'timeout' })
    await other.server.close()
  })
})

const long = () => ({ model: 'base', max_tokens: 220, ignore_eos: true, messages: [{ role: 'user', content: 'Hi' }] })
