// Server-sent events in OpenAI's form: one JSON document an event, then `[DONE]`. Comments keep a silent connection open.
// An event may have an id, which a browser that reconnects sends back.
import { ApiError, toApiError } from './errors.ts'

/** Milliseconds without an event after which a comment is sent. */
const pingInterval = 15_000

const tooSlow = (bytes: number): ApiError =>
  new ApiError(408, `The client reads too slowly: more than ${bytes} bytes of this answer wait for it.`, {
    code: 'client_too_slow',
  })

const errorEvent = (error: unknown): string => `data: ${JSON.stringify(toApiError(error).body)}\n\n`

/**
 * A response whose events `run` sends. An error of `run` becomes an event, since the status is sent by then.
 * @param onCancel called when the client leaves, or reads too slowly
 * @param maxWaitingBytes bytes that may wait for the client, beyond which it is given up (default: any number)
 */
export const eventStream = (
  run: (send: (event: object, id?: string | number) => void) => Promise<void>,
  hooks: { onCancel(): void; onError(error: unknown): void; maxWaitingBytes?: number },
): Response => {
  const { onCancel, onError, maxWaitingBytes = Number.POSITIVE_INFINITY } = hooks
  const encoder = new TextEncoder()
  let ping: NodeJS.Timeout | undefined
  let open = true
  const waiting = new ByteLengthQueuingStrategy({ highWaterMark: maxWaitingBytes })
  const source = {
    async start(controller: ReadableStreamDefaultController<Uint8Array>) {
      const end = (last: string) => {
        if (!open) return
        open = false
        clearInterval(ping)
        controller.enqueue(encoder.encode(`${last}data: [DONE]\n\n`))
        controller.close()
      }
      const write = (text: string) => {
        if (!open) return
        if ((controller.desiredSize ?? 0) > 0) {
          controller.enqueue(encoder.encode(text))
          return
        }
        end(errorEvent(tooSlow(maxWaitingBytes)))
        onCancel()
      }
      ping = setInterval(() => write(': ping\n\n'), pingInterval)
      void run((event, id) => {
        ping?.refresh()
        write(`${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(event)}\n\n`)
      })
        .catch((error) => {
          onError(error)
          write(errorEvent(error))
        })
        .finally(() => {
          clearInterval(ping)
          end('')
        })
    },
    cancel() {
      // Nothing can be written to a client that has left.
      open = false
      clearInterval(ping)
      onCancel()
    },
  }
  return new Response(new ReadableStream<Uint8Array>(source, waiting), {
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      // Proxies such as nginx would collect events otherwise.
      'x-accel-buffering': 'no',
    },
  })
}
