// Passes a request on to a server of this machine, and its answer back as it arrives.
import { request as sendRequest } from 'node:http'
import { Readable } from 'node:stream'
import { ApiError } from '../http/errors.ts'
import { type Address, stepHeader } from './live-file.ts'

/** A request to pass on; without a body it is a GET. */
export interface ForwardedRequest {
  path: string
  body?: object
  signal: AbortSignal
}

const passedHeaders = ['content-type', stepHeader, 'retry-after']

const gone = (): ApiError =>
  new ApiError(503, 'The process of this model has ended before its answer. Ask again.', { code: 'model_gone' })

/** Not `fetch`, which gives up after some minutes: a model in training answers after its step. @throws ApiError if the server is gone */
export const forward = (
  { url, token }: Address,
  { path, body, signal }: ForwardedRequest,
  onEnd: () => void = () => undefined,
): Promise<Response> =>
  new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const sent = sendRequest(new URL(path, url), {
      method: text === undefined ? 'GET' : 'POST',
      signal,
      agent: false,
      headers: {
        authorization: `Bearer ${token}`,
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }),
      },
    })
    sent.on('response', (response) => {
      response.once('close', onEnd)
      const headers = new Headers({ 'cache-control': 'no-store' })
      for (const name of passedHeaders) {
        const value = response.headers[name]
        if (typeof value === 'string') headers.set(name, value)
      }
      const stream = Readable.toWeb(response) as ReadableStream<Uint8Array>
      resolve(new Response(stream, { status: response.statusCode ?? 502, headers }))
    })
    sent.on('error', () => {
      onEnd()
      reject(gone())
    })
    sent.end(text)
  })
