// Clients that send requests to a server at the same time, each the next one when the last was answered, and what they see of it.

/** What clients measured. */
export interface Load {
  /** Generated tokens, or requests where there are none, in a second. */
  rate: number
  /** Seconds to the first event of an answer; empty for answers in one piece. */
  firstToken: number[]
  /** Seconds to the end of an answer. */
  latency: number[]
}

/** A crowd. */
export interface LoadSettings {
  url: string
  path: string
  clients: number
  requests: number
  /** Body of a request. */
  body(number: number): object
  /** Tokens that each answer has; left out to count requests. */
  tokens?: number
}

/** The value below which a share of the numbers lies. */
export const percentile = (numbers: readonly number[], share: number): number =>
  [...numbers].sort((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(share * numbers.length))]

/** Sends the requests. @throws Error for a request that fails or whose answer does not end */
export const measureLoad = async ({ url, path, clients, requests, body, tokens = 1 }: LoadSettings): Promise<Load> => {
  const load: Load = { rate: 0, firstToken: [], latency: [] }
  const decoder = new TextDecoder()
  const one = async (number: number): Promise<void> => {
    const started = performance.now()
    const since = () => (performance.now() - started) / 1000
    const response = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body(number)),
    })
    if (!response.ok || response.body === null) throw new Error(`${url} gave ${await response.text()}`)
    const streams = response.headers.get('content-type')?.startsWith('text/event-stream') === true
    let first: number | undefined
    let end = ''
    for await (const chunk of response.body) {
      end = (end + decoder.decode(chunk as Uint8Array, { stream: true })).slice(-64)
      first ??= since()
    }
    if (streams && !end.includes('[DONE]')) throw new Error(`${url} ended a stream early: ${end}`)
    if (streams && first !== undefined) load.firstToken.push(first)
    load.latency.push(since())
  }
  let next = 0
  const client = async () => {
    while (next < requests) await one(next++)
  }
  const started = performance.now()
  await Promise.all(Array.from({ length: Math.min(clients, requests) }, client))
  load.rate = (requests * tokens) / ((performance.now() - started) / 1000)
  return load
}
