// How the Hub is reached: its address, and the token of the user, which goes into requests only.
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
