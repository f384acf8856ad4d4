// Errors in OpenAI's form, and how errors of the library become them. Nothing that a client reads names a path of the host.
import { ConfigError, DataError, OutOfMemoryError } from '../../core/index.ts'

/** The body of an error. */
export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null }
}

type ErrorStatus = 400 | 401 | 403 | 404 | 405 | 408 | 409 | 413 | 415 | 422 | 429 | 431 | 500 | 503 | 504

/** OpenAI's error types by status; all others are `invalid_request_error`. */
const typeOf = (status: ErrorStatus): string => {
  if (status === 401) return 'authentication_error'
  if (status === 403) return 'permission_error'
  if (status === 429) return 'rate_limit_error'
  return status >= 500 ? 'server_error' : 'invalid_request_error'
}

/** An error that a client gets as it is. */
export class ApiError extends Error {
  override name = 'ApiError'
  readonly status: ErrorStatus
  readonly param: string | undefined
  readonly code: string | undefined
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: ErrorStatus,
    message: string,
    more: { param?: string; code?: string; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message)
    this.status = status
    this.param = more.param
    this.code = more.code
    this.headers = more.headers ?? {}
  }

  get body(): ErrorBody {
    const { message, status, param = null, code = null } = this
    return { error: { message, type: typeOf(status), param, code } }
  }
}

export const badRequest = (message: string, param?: string, code?: string): ApiError =>
  new ApiError(400, message, { param, code })

/** A request that ended before its answer: its time was over, or the server stops. A client that left does not see it. */
export const endedEarly = (timedOut: boolean, advice: string): ApiError =>
  timedOut
    ? new ApiError(504, `The request took longer than this server allows. ${advice}`, { code: 'timeout' })
    : new ApiError(503, 'The server ended this request, since it stops.', { code: 'server_stopping' })

/** What a client gets for an error of any kind: its own faults in full, those of the server without details. */
export const toApiError = (error: unknown): ApiError => {
  if (error instanceof ApiError) return error
  if (error instanceof ConfigError || error instanceof DataError) return badRequest(error.message)
  if (error instanceof OutOfMemoryError)
    return new ApiError(503, 'The server has not enough memory for this request. Shorten it, or try again later.', {
      code: 'out_of_memory',
      headers: { 'retry-after': '5' },
    })
  return new ApiError(500, 'The server failed on this request. Its log has the cause.', { code: 'internal_error' })
}

export const errorResponse = (error: ApiError): Response =>
  Response.json(error.body, { status: error.status, headers: error.headers })
