import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, it } from 'vitest'
import { eventStream } from './event-stream.ts'
import { hostsOf, type Listening, listen } from './listen.ts'

const mebibyte = 2 ** 20
let listening: Listening
const close = (one?: Listening) => {
  one?.server.closeAllConnections()
  one?.server.close()
}
const sockets: Socket[] = []

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
  close(listening)
})

const limits = { headerSeconds: 0.3, bodySeconds: 0.5, readSeconds: 0.5 }
const ask = 'POST / HTTP/1.1\r\nhost: localhost\r\n'

/** A connection that has sent some text, and what came back once it ended. */
const open = (text: string): { socket: Socket; ended: Promise<string> } => {
  const socket = connect(listening.port, '127.0.0.1')
  sockets.push(socket)
  socket.write(text)
  let answer = ''
  socket.on('data', (data) => {
    answer += data
  })
  return { socket, ended: new Promise((resolve) => socket.once('close', () => resolve(answer))) }
}

/** More bytes than the buffers of a connection take. */
const large = (onCancel?: () => void): Response => {
  let left = 64
  return new Response(
    new ReadableStream<Uint8Array>({
      pull(controller) {
        if (left-- > 0) controller.enqueue(new Uint8Array(mebibyte).fill(97))
        else controller.close()
      },
      cancel: onCancel,
    }),
  )
}

it('answers clients that send their headers or bodies too slowly, and ends their connections', async () => {
  let read = 'nothing'
  const fetch = async (request: Request) => {
    read = await request.text().catch(() => 'cut off')
    return new Response('late')
  }
  listening = await listen('127.0.0.1', 0, fetch, limits)
  const slowHeaders = open(ask)
  const letters = setInterval(() => slowHeaders.socket.write('x: y\r\n'), 50)
  slowHeaders.socket.on('error', () => undefined)
  expect(await slowHeaders.ended).toMatch(/^HTTP\/1.1 408 [\s\S]*"error"/)
  clearInterval(letters)
  expect(await open(`${ask}content-length: 9\r\n\r\nabc`).ended).toMatch(/^HTTP\/1.1 408 [\s\S]*"error"/)
  // The reader of the body is told, so that nothing of the request stays.
  while (read === 'nothing') await sleep(10)
  expect(read).toBe('cut off')
})

it('drops a client that does not read its answer, and keeps one that reads slowly', async () => {
  let cancelled = 0
  const fetch = () =>
    large(() => {
      cancelled++
    })
  listening = await listen('127.0.0.1', 0, fetch, limits)
  const silent = open(`${ask}content-length: 0\r\n\r\n`)
  silent.socket.pause()
  const slow = open(`${ask}content-length: 0\r\nconnection: close\r\n\r\n`)
  let bytes = 0
  slow.socket.on('data', (data) => {
    bytes += data.length
    slow.socket.pause()
    setTimeout(() => slow.socket.resume(), 1)
  })
  await slow.ended
  expect(bytes).toBeGreaterThan(64 * mebibyte)
  while (cancelled === 0) await sleep(20)
  expect(cancelled).toBe(1)
})

it('waits until answers are read, within its time', async () => {
  listening = await listen('127.0.0.1', 0, () => large())
  const { socket, ended } = open(`${ask}content-length: 0\r\nconnection: close\r\n\r\n`)
  socket.pause()
  await sleep(100)
  let isDelivered = false
  const delivered = listening.delivered(60_000).then(() => {
    isDelivered = true
  })
  await listening.delivered(50)
  expect(isDelivered).toBe(false)
  socket.resume()
  await delivered
  expect((await ended).length).toBeGreaterThan(64 * mebibyte)
})

it('ends a stream of events whose client reads nothing, with an error for later, and cancels its work', async () => {
  let sent = 0
  const left = new AbortController()
  const { body } = eventStream(
    async (send) => {
      while (!left.signal.aborted) {
        send({ text: 'a'.repeat(1000) })
        sent++
        await sleep(0)
      }
      throw left.signal.reason
    },
    { maxWaitingBytes: 20_000, onCancel: () => left.abort(), onError: () => undefined },
  )
  while (!left.signal.aborted) await sleep(1)
  expect(sent).toBeLessThan(25)
  const text = await new Response(body).text()
  expect(text.match(/"text"/g)?.length).toBeGreaterThan(15)
  expect(text).toMatch(/"code":"client_too_slow"}}\n\ndata: \[DONE\]\n\n$/)
  // afterEach closes a server.
  listening = await listen('127.0.0.1', 0, () => new Response())
})

it('answers the same with the global Request and Response of the process replaced, and leaves them alone otherwise', async () => {
  const globals = { Request: globalThis.Request, Response: globalThis.Response }
  const answers = async (replaceGlobals: boolean) => {
    const fetch = async (request: Request): Promise<Response> =>
      new URL(request.url).pathname === '/stream'
        ? eventStream(async (send) => send({ echo: await request.json() }), {
            onCancel: () => undefined,
            onError: (error) => {
              throw error
            },
          })
        : Response.json({ echo: await request.json() }, { status: 201, headers: { 'x-own': 'yes' } })
    listening = await listen('127.0.0.1', 0, fetch, { replaceGlobals })
    const body = JSON.stringify({ text: 'Grüße' })
    const texts = ['/whole', '/stream'].map((path) =>
      open(
        `POST ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      ),
    )
    const ended = await Promise.all(texts.map(({ ended }) => ended))
    listening.server.close()
    return ended.map((text) =>
      text
        .toLowerCase()
        .replace(/date: .*/, '')
        .split('\r\n')
        .filter(Boolean)
        .sort(),
    )
  }
  try {
    const plain = await answers(false)
    expect(globalThis.Response).toBe(globals.Response)
    expect(plain[0]).toContain('http/1.1 201 created')
    expect(plain.flat().join()).toContain('grüße')
    expect(await answers(true)).toEqual(plain)
    expect(globalThis.Response).not.toBe(globals.Response)
  } finally {
    Object.assign(globalThis, globals)
  }
})

it('allows each name of this machine once', () => {
  expect(hostsOf('127.0.0.1')).toEqual(['localhost', '127.0.0.1', '[::1]'])
  expect(hostsOf('127.0.0.2')).toEqual(['localhost', '127.0.0.1', '[::1]', '127.0.0.2'])
  expect(hostsOf('0.0.0.0')).toBeUndefined()
})
