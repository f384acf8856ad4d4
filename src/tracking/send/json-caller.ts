// Requests to a tracker's server with JSON in both directions, repeated where a fault may pass.
import { setTimeout } from 'node:timers/promises'
import type { z } from 'zod'
import { DataError, fetchFault, isPassingStatus, show } from '../../core/index.ts'

const tries = 4
const secondsToAnswer = 30

/** A server and how it is called. */
export interface JsonServer {
  /** What it is, for errors: `an MLflow server`. */
  name: string
  /** Address as people write it. */
  url: string
  /** Address of its endpoints. */
  base: string
  headers: Record<string, string>
  signal?: AbortSignal | undefined
}

/** Calls an endpoint: GET without a body, else POST. @returns undefined for the status `absent` */
export type JsonCall = <Schema extends z.ZodType>(
  path: string,
  body: object | undefined,
  schema: Schema,
  absent?: number,
) => Promise<z.output<Schema> | undefined>

/** Sends requests, several times where a fault may pass. @throws DataError for a server that does not answer, or refuses */
export const jsonCaller = ({ name, url, base, headers, signal }: JsonServer): JsonCall => {
  const ask = async (path: string, body: object | undefined): Promise<{ status: number; body: unknown }> => {
    const waits = [AbortSignal.timeout(1000 * secondsToAnswer), ...(signal === undefined ? [] : [signal])]
    const response = await fetch(`${base}/${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.any(waits),
    })
    const text = await response.text()
    try {
      return { status: response.status, body: JSON.parse(text) }
    } catch {
      return { status: response.status, body: text }
    }
  }
  return async (path, body, schema, absent) => {
    for (let attempt = 1; ; attempt++) {
      let fault: string
      try {
        const answer = await ask(path, body)
        if (answer.status === absent) return undefined
        const read = schema.safeParse(answer.body)
        if (answer.status === 200 && read.success) return read.data
        fault = `status ${answer.status}: ${show(answer.body)}`
        if (!isPassingStatus(answer.status)) attempt = tries
      } catch (error) {
        if (signal?.aborted) throw signal.reason
        fault = `no answer: ${fetchFault(error)}`
      }
      if (attempt >= tries)
        throw new DataError(
          `Expected ${name} at ${url}, got ${fault}. The run itself is complete in its folder: send it again later.`,
        )
      await setTimeout(250 * 4 ** (attempt - 1), undefined, signal === undefined ? {} : { signal })
    }
  }
}
