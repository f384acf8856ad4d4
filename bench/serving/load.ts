// Clients that send requests to a server at the same time, each the next one when the last was answered, and what they see of it.
import { setMaxListeners } from 'node:events'

/** What clients measured. */
export interface Load {
  /** Generated tokens, or requests where there are none, in a second. */
  rate: number
  /** Seconds to the first event of an answer; empty for answers in one piece. */
  firstToken: number[]
  /** Seconds to the end of an answer. */
  latency: number[]
  /** Requests that were answered. */
  answered: number
  /** The time was over before all requests were answered: the server still computes. */
  cut: boolean
}

/** A crowd. */
export interface LoadSettings {
  url: string
  path: string
  clients: number
  /** Number of requests (default: as many as fit into `seconds`). */
  requests?: number
  /** After this time no client begins another request; those with a number of requests are ended instead. */
  seconds: number
  /** Body of a request. */
  body(number: number): object
  /** Tokens that each answer has; left out to count requests. */
  tokens?: number
}

/** The value below which a share of the numbers lies. */
export const percentile = (numbers: readonly number[], share: number): number =>
  [...numbers].sort((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(share * numbers.length))]

/** Sends the requests. @throws Error for a request that fails or whose answer does not end */
export const measureLoad = async (settings: LoadSettings): Promise<Load> => {
  const { url, path, clients, requests = Number.POSITIVE_INFINITY, seconds, body, tokens = 1 } = settings
  const load: Load = { rate: 0, firstToken: [], latency: [], answered: 0, cut: false }
  const decoder = new TextDecoder()
  const over = new AbortController()
  // Every request listens to it.
  setMaxListeners(0, over.signal)
  const one = async (number: number): Promise<void> => {
    const started = performance.now()
    const since = () => (performance.now() - started) / 1000
    const ask = () =>
      fetch(`${url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body(number)),
        signal: over.signal,
      })
    // A server may close a connection that was idle during the others' turns just as it is used again.
    const response = await ask().catch((error: Error) => {
      if ((error.cause as { code?: string } | undefined)?.code !== 'UND_ERR_SOCKET') throw error
      return ask()
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
    load.answered++
  }
  const limited = Number.isFinite(requests)
  const started = performance.now()
  const elapsed = () => (performance.now() - started) / 1000
  // Requests that end in time by themselves have as long again: a server that answers none must not hold up the others.
  const timer = setTimeout(() => over.abort(), (limited ? 1 : 2) * seconds * 1000)
  let next = 0
  const client = async () => {
    while (next < requests && elapsed() < seconds)
      await one(next++).catch((error: unknown) => {
        if (!over.signal.aborted) throw error
        load.cut = true
      })
  }
  try {
    await Promise.all(Array.from({ length: Math.min(clients, requests) }, client))
  } finally {
    clearTimeout(timer)
  }
  load.rate = (load.answered * tokens) / elapsed()
  return load
}
