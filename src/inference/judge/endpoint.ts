// A model behind a server with OpenAI's API: a conversation goes there, the text of its answer comes back.
import { setTimeout } from 'node:timers/promises'
import { z } from 'zod'
import { DataError, fetchFault, isPassingStatus, show } from '../../core/index.ts'

/** Where the model is, and how long to wait for it. */
export interface EndpointOptions {
  /** Address up to the version, such as http://127.0.0.1:8080/v1. */
  endpoint: string
  /** Name of the model at the endpoint. */
  model: string
  /** Sent as a bearer token; it is never written. */
  token?: string | undefined
  /** Tokens of an answer. */
  maxTokens: number
  timeoutSeconds: number
  /** Tries of a request that the server refuses for now, or does not answer. */
  attempts: number
}

/** A message to the model. */
export interface EndpointMessage {
  role: 'system' | 'user'
  content: string
}

/** The answer of the model, and the tokens that the server counted. */
export interface EndpointAnswer {
  text: string
  promptTokens: number
  completionTokens: number
}

const completion = z.object({
  choices: z.tuple([z.object({ message: z.object({ content: z.string() }) })], z.unknown()),
  usage: z.object({ prompt_tokens: z.number().default(0), completion_tokens: z.number().default(0) }).nullish(),
})

const longestPauseSeconds = 30

/** What a server asks to wait by Retry-After, in seconds; undefined where it does not say. */
const askedPause = (response: Response): number | undefined => {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN)
  return Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds, longestPauseSeconds) : undefined
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/**
 * Asks the model once, at temperature 0. @param signal ends the wait
 * @throws DataError for a server that refuses, answers something else or does not answer; the signal's reason when it is aborted
 */
export const askEndpoint = async (
  { endpoint, model, token, maxTokens, timeoutSeconds, attempts }: EndpointOptions,
  messages: readonly EndpointMessage[],
  signal?: AbortSignal,
): Promise<EndpointAnswer> => {
  const url = `${endpoint.replace(/\/+$/, '')}/chat/completions`
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted()
    let fault: string
    let pause = Math.min(longestPauseSeconds, 0.25 * 4 ** (attempt - 1))
    let mayPass = true
    try {
      const limits = [AbortSignal.timeout(1000 * timeoutSeconds), ...(signal === undefined ? [] : [signal])]
      const response = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        body: JSON.stringify({ model, messages, temperature: 0, max_tokens: maxTokens }),
        signal: AbortSignal.any(limits),
      })
      const body = parsed(await response.text())
      const read = completion.safeParse(body)
      if (response.ok && read.success) {
        const { choices, usage } = read.data
        return {
          text: choices[0].message.content,
          promptTokens: usage?.prompt_tokens ?? 0,
          completionTokens: usage?.completion_tokens ?? 0,
        }
      }
      fault = `status ${response.status}: ${show(body)}`
      mayPass = isPassingStatus(response.status)
      pause = askedPause(response) ?? pause
    } catch (error) {
      signal?.throwIfAborted()
      const late = error instanceof DOMException && error.name === 'TimeoutError'
      fault = late ? `no answer within ${timeoutSeconds} s` : `no answer: ${fetchFault(error)}`
    }
    if (!mayPass || attempt >= attempts)
      throw new DataError(
        `Expected a chat completion of ${model} from ${url}, got ${fault}. Check \`endpoint\`, the name of the model and the token.`,
      )
    await setTimeout(1000 * pause, undefined, signal === undefined ? {} : { signal }).catch(() =>
      signal?.throwIfAborted(),
    )
  }
}
