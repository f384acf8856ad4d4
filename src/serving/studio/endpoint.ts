// What an endpoint of the studio declares, and what it may use while it answers. The app derives from it.
import { setTimeout } from 'node:timers/promises'
import { z } from 'zod'
import { eventStream } from '../http/event-stream.ts'
import type { Columns } from './runs/columns.ts'
import type { RunEntry } from './runs/run-entry.ts'
import type { Studio } from './studio.ts'

/** A whole number of a query or a path, which arrive as text. */
export const wholeNumber = z.coerce.number().int().nonnegative()

/** One path of the studio's API. */
export interface StudioEndpoint<Query extends z.ZodObject = z.ZodObject, Body extends z.ZodType = z.ZodType> {
  method: 'get' | 'post' | 'delete'
  /** As hono writes it, such as `/api/runs/:run`; the part `:run` is an encoded id. */
  path: string
  /** One sentence, without a full stop. */
  summary: string
  /** Strict schema of the query; its values arrive as text. */
  query?: Query
  /** Schema of the JSON body of a POST. */
  body?: Body
  /** The answer as JSON, or a response. */
  answer(request: StudioRequest<z.output<Query>, z.output<Body>>): Promise<object> | object
}

/** Declares an endpoint; endpoints/index.ts lists it. */
export const defineStudioEndpoint = <Query extends z.ZodObject, Body extends z.ZodType>(
  endpoint: StudioEndpoint<Query, Body>,
): StudioEndpoint =>
  // The types of its own query and body stay inside the endpoint, which parses them with its own schemas.
  endpoint as unknown as StudioEndpoint

/** One request while it is answered. */
export interface StudioRequest<Query, Body> {
  studio: Studio
  query: Query
  body: Body
  /** Fires when the client leaves. */
  signal: AbortSignal
  /** The header `last-event-id` of a page that reconnects to a stream. */
  lastEventId: string | undefined
  /** A part of the path, decoded. */
  param(name: string): string
  /** The run that the path names. @throws ApiError for an unknown one */
  run(): Promise<RunEntry>
  /** The same with the numbers of its steps. */
  runWithColumns(): Promise<{ entry: RunEntry; columns: Columns }>
  /** Asks another path of the API. */
  ask: Ask
}

/** Answers a path of the API, without a connection. */
export type Ask = (path: string) => Promise<Response>

/** Answers with events until `run` is done or the page leaves. */
export const studioStream = (
  { studio, signal }: Pick<StudioRequest<unknown, unknown>, 'studio' | 'signal'>,
  run: (send: (event: object, id?: string | number) => void, signal: AbortSignal) => Promise<void>,
): Response => {
  const left = new AbortController()
  return eventStream((send) => run(send, AbortSignal.any([signal, left.signal, studio.closed])), {
    onCancel: () => left.abort(),
    onError: (error) => studio.report(error),
  })
}

/** Resolves after some milliseconds, or at once when the signal fires. */
export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  setTimeout(ms, undefined, { signal }).catch(() => undefined)
