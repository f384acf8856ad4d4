// Server-sent events in OpenAI's form: one JSON document an event, then `[DONE]`. Comments keep a silent connection open.
// An event may have an id, which a browser that reconnects sends back.
import { toApiError } from './errors.ts'

/** Milliseconds without an event after which a comment is sent. */
const pingInterval = 15_000

/**
 * A response whose events `run` sends. An error of `run` becomes an event, since the status is sent by then.
 * @param onCancel called when the client leaves
 */
export const eventStream = (
  run: (send: (event: object, id?: string | number) => void) => Promise<void>,
  { onCancel, onError }: { onCancel(): void; onError(error: unknown): void },
): Response => {
  const encoder = new TextEncoder()
  let ping: NodeJS.Timeout | undefined
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      let open = true
      const write = (text: string) => {
        if (!open) return
        try {
          controller.enqueue(encoder.encode(text))
        } catch {
          // The client has left.
          open = false
        }
      }
      ping = setInterval(() => write(': ping\n\n'), pingInterval)
      void run((event, id) => {
        ping?.refresh()
        write(`${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(event)}\n\n`)
      })
        .catch((error) => {
          onError(error)
          write(`data: ${JSON.stringify(toApiError(error).body)}\n\n`)
        })
        .finally(() => {
          clearInterval(ping)
          write('data: [DONE]\n\n')
          if (open) controller.close()
        })
    },
    cancel() {
      clearInterval(ping)
      onCancel()
    },
  })
  return new Response(body, {
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      // Proxies such as nginx would collect events otherwise.
      'x-accel-buffering': 'no',
    },
  })
}
