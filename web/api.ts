// Requests to the studio's server: JSON, and streams that come back by themselves after the server was away.
import { computed, signal } from '@preact/signals'
import type { ApiErrorBody } from '../src/serving/studio/types/api-types.ts'
import { sharedAnswer, sharedFile } from './shared-file.ts'

/** Streams of this page that have lost their server. */
const away = signal(0)

/** Whether the streams of this page are connected. */
export const connected = computed(() => away.value === 0)

/** An answer of the server that is no success, with its own message. */
export class RequestError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** A response that is a success. @throws RequestError */
const succeed = async (request: Promise<Response>, signal?: AbortSignal): Promise<Response> => {
  const response = await request.catch(() => {
    throw new RequestError(
      0,
      signal?.aborted ? 'Stopped.' : 'The studio does not answer. Is `tunesmith ui` still running?',
    )
  })
  if (response.ok) return response
  const body = (await response.json().catch(() => undefined)) as ApiErrorBody | undefined
  throw new RequestError(response.status, body?.error.message ?? `The server answered with status ${response.status}.`)
}

const read = async <T>(request: Promise<Response>): Promise<T> => (await (await succeed(request)).json()) as T

/** Reads JSON, or takes it from the file that the page is. @throws RequestError */
export const getJson = <T>(path: string, signal?: AbortSignal): Promise<T> =>
  sharedFile === undefined ? read<T>(fetch(path, { signal })) : Promise.resolve().then(() => sharedAnswer(path) as T)

type SendMethod = 'POST' | 'DELETE'

const send = (method: SendMethod, path: string, body: unknown, signal?: AbortSignal): Promise<Response> =>
  fetch(path, { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' }, signal })

/** Sends JSON. @throws RequestError */
export const sendJson = <T>(method: SendMethod, path: string, body: unknown): Promise<T> =>
  read<T>(send(method, path, body))

/** Sends JSON for an answer that may arrive piece by piece. @throws RequestError */
export const postJson = (path: string, body: unknown, signal: AbortSignal): Promise<Response> =>
  succeed(send('POST', path, body, signal), signal)

/** The path of a run's API. */
export const runPath = (id: string, rest = ''): string => `/api/runs/${encodeURIComponent(id)}${rest}`

const retryMs = 1000

/**
 * Follows a stream of events until the returned function is called. After a break the browser connects again and says what it has.
 * @param from offset to begin at, for a stream that has one
 * @param onMessage called with the data of each event
 */
export const follow = <T>(path: string, onMessage: (message: T) => void, from?: number): (() => void) => {
  if (sharedFile !== undefined) return () => undefined
  let source: EventSource | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let lastId = from === undefined ? '' : String(from)
  let isAway = false
  const setAway = (now: boolean) => {
    if (now !== isAway) away.value += now ? 1 : -1
    isAway = now
  }
  const open = () => {
    source = new EventSource(lastId === '' ? path : `${path}?from=${lastId}`)
    source.onopen = () => setAway(false)
    source.onmessage = ({ data, lastEventId }) => {
      if (data === '[DONE]') return
      lastId = lastEventId || lastId
      onMessage(JSON.parse(data) as T)
    }
    source.onerror = () => {
      setAway(true)
      // A server that was restarted answers some requests with an error first, after which a browser gives up.
      if (source?.readyState === EventSource.CLOSED) timer = setTimeout(open, retryMs)
    }
  }
  open()
  return () => {
    clearTimeout(timer)
    source?.close()
    setAway(false)
  }
}

/** How a stream that has an end is read. */
export interface StreamReader<T> {
  onMessage(message: T): void
  /** Called once, with what went wrong if something did. */
  onEnd(error: string | undefined): void
}

/** The data of each event of a response. @param lost message for a connection that breaks. @throws RequestError for one */
export async function* eventsOf(body: ReadableStream<Uint8Array>, lost: string): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader()
  let waiting = ''
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new RequestError(0, lost)
    })
    if (done) return
    const events = (waiting + value).split('\n\n')
    waiting = events.pop() ?? ''
    for (const event of events) {
      const data = event.split('\n').find((line) => line.startsWith('data: '))
      if (data !== undefined) yield data.slice('data: '.length)
    }
  }
}

const brokeOff = 'The studio broke off. Try again.'

/** Reads a stream to its end, until the returned function is called. Unlike `follow`, it does not connect again. */
export const readStream = <T extends object>(path: string, { onMessage, onEnd }: StreamReader<T>): (() => void) => {
  const controller = new AbortController()
  const { signal } = controller
  const readAll = async (): Promise<void> => {
    const response = await fetch(path, { signal })
    if (!response.ok || response.body === null) return void (await read(Promise.resolve(response)))
    for await (const data of eventsOf(response.body, brokeOff)) {
      if (data === '[DONE]') return
      const message = JSON.parse(data) as T | ApiErrorBody
      if ('error' in message) throw new RequestError(response.status, (message as ApiErrorBody).error.message)
      onMessage(message)
    }
    // The server ended in the middle.
    throw new RequestError(0, brokeOff)
  }
  readAll().then(
    () => onEnd(undefined),
    (error: Error) => {
      if (!signal.aborted) onEnd(error instanceof RequestError ? error.message : brokeOff)
    },
  )
  return () => controller.abort()
}
