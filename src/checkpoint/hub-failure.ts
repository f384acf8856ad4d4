// Failed requests to the Hub in words: what happened, and what to do.
import { defaultHub, type HubAccess } from './hub-access.ts'

interface Failure extends Error {
  statusCode?: number
  cause?: { message?: string; code?: string }
}

const remedies: Record<number, string> = {
  401: 'Check the name, and that HF_TOKEN is a valid token: names that do not exist look like this too.',
  403: 'Check that HF_TOKEN may do this: it needs write access to upload, and accepted conditions of gated repositories.',
  404: 'Check the name: there is no such repository, or HF_TOKEN may not see it.',
  409: 'It exists already: choose another name.',
  429: 'Wait: too many requests were made.',
}

/** Why a request failed, and what to do about it where that is known. */
export interface HubFailure {
  reason: string
  remedy?: string
}

/** Explains an error of a request. @param access whose token is not shown */
export const hubFailure = (error: unknown, { accessToken, hubUrl = defaultHub }: HubAccess): HubFailure => {
  const { message, statusCode, cause } = error as Failure
  // The address of the request follows the Hub's words.
  const words = message.replace(/\. (URL|Request ID): .*$/s, '')
  const text = accessToken === undefined ? words : words.replaceAll(accessToken, '…')
  if (statusCode !== undefined) {
    const reason = text.includes(String(statusCode)) ? text : `${text} (${statusCode})`
    return { reason, remedy: remedies[statusCode] ?? 'Try again later.' }
  }
  if (error instanceof TypeError && cause !== undefined) {
    const why = cause.code ?? cause.message
    return { reason: `no answer from ${hubUrl} (${why})`, remedy: 'Check the network and HF_ENDPOINT.' }
  }
  if (error instanceof SyntaxError)
    return { reason: `${hubUrl} did not answer as a Hub does`, remedy: 'Check HF_ENDPOINT.' }
  return { reason: text }
}
