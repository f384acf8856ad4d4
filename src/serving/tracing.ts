// Traces of requests: one span each, in OpenTelemetry's form and under the names of its conventions for HTTP and generative AI. The API is the
// user's (`import * as telemetry from '@opentelemetry/api'`); this file names only the few parts of it that are called.

/** Values of a span. */
export type SpanAttributes = Record<string, string | number | string[]>

/** A span, as the API has it. */
export interface TraceSpan {
  setAttributes(attributes: SpanAttributes): unknown
  setStatus(status: { code: number; message?: string }): unknown
  recordException(error: Error): void
  end(): void
}

/** The parts of `@opentelemetry/api` that are called. */
export interface Telemetry {
  trace: {
    getTracer(name: string): {
      startSpan(name: string, options: { kind: number; attributes: SpanAttributes }, context: unknown): TraceSpan
    }
  }
  context: { active(): unknown }
  propagation: { extract(context: unknown, carrier: Record<string, string>): unknown }
}

/** `SpanKind.SERVER` and `SpanStatusCode.ERROR` of the API. */
const serverKind = 1
const errorStatus = 2

/** The span of one request; without telemetry, nothing happens. */
export class RequestTrace {
  readonly #span: TraceSpan | undefined

  /** Begins a span, within the one that the client names in its headers. */
  constructor(telemetry: Telemetry | undefined, method: string, route: string, headers: Headers) {
    if (telemetry === undefined) return
    const { trace, context, propagation } = telemetry
    const parent = propagation.extract(context.active(), Object.fromEntries(headers))
    const attributes = { 'http.request.method': method, 'http.route': route }
    this.#span = trace.getTracer('tunesmith').startSpan(`${method} ${route}`, { kind: serverKind, attributes }, parent)
  }

  /** Adds values to the span. */
  describe(attributes: SpanAttributes): void {
    this.#span?.setAttributes(attributes)
  }

  /** Marks the request as failed by a fault of the server. */
  fail(error: unknown): void {
    if (this.#span === undefined) return
    const known = error instanceof Error ? error : new Error(String(error))
    this.#span.recordException(known)
    this.#span.setStatus({ code: errorStatus, message: known.message })
  }

  end(): void {
    this.#span?.end()
  }
}
