// Faults of HTTP requests to servers of others.

/** Whether the same request may succeed later. */
export const isPassingStatus = (status: number): boolean =>
  status === 408 || status === 425 || status === 429 || status >= 500

/** Why a request got no answer: `fetch` says only that it failed, its cause says what happened. */
export const fetchFault = (error: unknown): string => {
  const { cause, message } = error as Error & { cause?: unknown }
  const { code, message: own } = (cause ?? {}) as { code?: string; message?: string }
  return own || code || message
}
