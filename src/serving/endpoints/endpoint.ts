// What an endpoint declares, and what it may use while it answers. The app, the OpenAPI document and the tests derive from it.

import type { Context } from 'hono'
import { z } from 'zod'
import { maxTextTokens } from '../../features/index.ts'
import { checkBody, readJson, type UnsupportedFields } from '../http/body.ts'
import { ApiError, toApiError } from '../http/errors.ts'
import { eventStream } from '../http/event-stream.ts'
import { writes } from '../models/answered-paths.ts'
import type { ServedModel } from '../models/served-models.ts'
import type { Service } from '../service.ts'
import { RequestTrace, type SpanAttributes } from '../tracing.ts'

/** Maximum tokens of a text that is read for its vector: the context, or less by the files of the model. */
export const embeddedTokens = ({ context, text, tokenizer }: ServedModel): number =>
  Math.min(context, maxTextTokens(text.model, tokenizer) ?? context)

/** Maximum tokens of a request: a prompt with its completion, or a text. */
export const maxModelLength = (model: ServedModel): number => (writes(model) ? model.context : embeddedTokens(model))

/** Bytes of a text that may wait for its client: one that reads more slowly than the model writes has memory of the server. */
const maxWaitingBytes = 4 * 2 ** 20

/** One path of the API. */
export interface Endpoint<Body extends z.ZodType = z.ZodType> {
  method: 'get' | 'post'
  /** As hono writes it, such as `/v1/models/:id`. */
  path: string
  /** One sentence, without a full stop. */
  summary: string
  /** Schema of the body of a POST. */
  body?: Body
  /** Known fields that are refused, with the reason. */
  unsupported?: UnsupportedFields
  answer(call: Call<z.output<Body>>): Promise<Response> | Response
}

/** The field of a body that names a model. */
export const modelName = z.string().describe('name of a model')

/** Declares an endpoint; index.ts lists it. */
// The type of its own body stays inside the endpoint, which parses it with its own schema.
export const defineEndpoint = <Body extends z.ZodType>(endpoint: Endpoint<Body>): Endpoint =>
  endpoint as unknown as Endpoint

/** One request while it is answered. */
export class Call<Body = unknown> {
  readonly #context: Context
  readonly #controller = new AbortController()
  readonly #releases: (() => void)[] = []
  readonly #timer: NodeJS.Timeout
  readonly #trace: RequestTrace
  #timedOut = false
  #streams = false
  #ended = false

  constructor(
    readonly service: Service,
    context: Context,
    readonly body: Body,
    trace: RequestTrace,
  ) {
    this.#trace = trace
    this.#context = context
    const { signal } = context.req.raw
    const abort = () => this.#controller.abort()
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    this.#timer = setTimeout(() => {
      this.#timedOut = true
      abort()
    }, service.limits.requestSeconds * 1000)
    this.#releases.push(
      service.begin(abort),
      () => clearTimeout(this.#timer),
      () => signal.removeEventListener('abort', abort),
    )
  }

  /** Fires when the client leaves, when the time is over, and when the server stops. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Whether the time of the request is over. */
  readonly timedOut = (): boolean => this.#timedOut

  /** Adds values to the trace of the request. */
  readonly describe = (attributes: SpanAttributes): void => this.#trace.describe(attributes)

  /** A part of the path. */
  param(name: string): string {
    return this.#context.req.param(name) ?? ''
  }

  /** The model of this name until the request has ended. @throws ApiError for an unknown name */
  model(name: string): ServedModel {
    const { model, release } = this.service.models.acquire(name)
    this.#releases.push(release)
    this.describe({ 'gen_ai.request.model': name })
    return model
  }

  /** Answers with events; the request ends with them. */
  stream(run: (send: (event: object) => void) => Promise<void>): Response {
    this.#streams = true
    return eventStream((send) => run(send).finally(() => this.#end()), {
      maxWaitingBytes,
      onCancel: () => this.#controller.abort(),
      onError: (error) => {
        if (error instanceof ApiError) return
        this.service.report(error)
        this.#trace.fail(error)
      },
    })
  }

  static async answer(service: Service, endpoint: Endpoint, context: Context): Promise<Response> {
    const { method, path, body: schema, unsupported } = endpoint
    const { headers } = context.req.raw
    const trace = new RequestTrace(service.telemetry, method.toUpperCase(), path, headers)
    let call: Call | undefined
    try {
      const value = schema === undefined ? undefined : await readJson(context.req.raw, service.limits.maxBodyBytes)
      const body = schema === undefined ? undefined : checkBody(schema, value, unsupported)
      call = new Call(service, context, body, trace)
      const response = await (call.#passOn(path, value) ?? endpoint.answer(call))
      trace.describe({ 'http.response.status_code': response.status })
      return response
    } catch (error) {
      if (call !== undefined) call.#streams = false
      const { status } = toApiError(error)
      trace.describe({ 'http.response.status_code': status })
      if (status >= 500) trace.fail(error)
      throw error
    } finally {
      if (call === undefined) trace.end()
      else if (!call.#streams) call.#end()
    }
  }

  /** Passes the request on where its model is that of a run in training. */
  #passOn(path: string, body: unknown): Promise<Response> | undefined {
    const { model } = (body ?? {}) as { model?: string }
    const run = model === undefined ? undefined : this.service.models.live(model)
    if (run === undefined) return undefined
    this.describe({ 'gen_ai.request.model': run.name })
    this.#streams = true
    return run.ask({ path, body: body as object, signal: this.signal }, () => this.#end())
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    for (const release of this.#releases.splice(0)) release()
    this.#trace.end()
  }
}
