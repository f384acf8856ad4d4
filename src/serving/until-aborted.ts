// A request whose time is over gets its answer now, and not when the work that it waits for has noticed it.

/** The result of work; rejects with the reason of the signal as soon as it fires. The work must heed the signal itself. */
export const untilAborted = <Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> =>
  new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
