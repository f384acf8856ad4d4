// How the Hub is reached: its address, and the token of the user, which goes into requests only; and failed requests in words.
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Address of the Hub where HF_ENDPOINT names no other. */
export const defaultHub = 'https://huggingface.co'

/** Address and token for the functions of @huggingface/hub. */
export interface HubAccess {
  hubUrl?: string
  accessToken?: string
}

/** The token in HF_TOKEN, or in the file that Hugging Face's tools write at login. */
const readToken = async (): Promise<string | undefined> => {
  const { HF_TOKEN, HF_TOKEN_PATH, HF_HOME, XDG_CACHE_HOME } = process.env
  if (HF_TOKEN) return HF_TOKEN.trim()
  const home = HF_HOME ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface')
  const text = await readFile(HF_TOKEN_PATH ?? join(home, 'token'), 'utf8').catch(() => '')
  return text.trim() || undefined
}

/** Reads HF_ENDPOINT, and the token from HF_TOKEN or the file of HF_TOKEN_PATH. */
export const hubAccess = async (): Promise<HubAccess> => {
  const accessToken = await readToken()
  const { HF_ENDPOINT } = process.env
  return {
    ...(accessToken === undefined ? {} : { accessToken }),
    ...(HF_ENDPOINT ? { hubUrl: HF_ENDPOINT.replace(/\/+$/, '') } : {}),
  }
}

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
interface HubFailure {
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
