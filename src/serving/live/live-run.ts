// The model of a run in training as one of the models of a server: the process that trains it answers, between two steps. A file in the
// folder of its run, which only its user can read, says where; requests are passed on, and answers back as they arrive.
import { readFile, rm, writeFile } from 'node:fs/promises'
import { request as sendRequest } from 'node:http'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { parseRunReference } from '../../runs/index.ts'
import { runFiles, runOwner } from '../../tracking/index.ts'
import { ApiError } from '../http/errors.ts'

/** Header of an answer with the step whose weights gave it. */
export const stepHeader = 'x-tunesmith-step'

/** Where to send requests, and the token that they must have. */
export interface Address {
  url: string
  token: string
}

const schema = z.strictObject({ url: z.url(), token: z.string(), process: z.int().positive() })

const pathOf = (folder: string): string => join(folder, runFiles.live)

/** Writes the address of this process into the folder of its run. */
export const writeLiveFile = async (folder: string, address: Address): Promise<void> => {
  await removeLiveFile(folder)
  const text = `${JSON.stringify({ ...address, process: process.pid })}\n`
  await writeFile(pathOf(folder), text, { mode: 0o600, flag: 'wx' })
}

export const removeLiveFile = (folder: string): Promise<void> => rm(pathOf(folder), { force: true })

/** The address of the model that is trained in a folder; undefined if none is, or if its command was not started with `--ui`. */
export const readLiveFile = async (folder: string): Promise<Address | undefined> => {
  try {
    const { process, ...address } = schema.parse(JSON.parse(await readFile(pathOf(folder), 'utf8')))
    // The file of a killed process stays.
    return (await runOwner(folder)) === process ? address : undefined
  } catch {
    return undefined
  }
}

/** A request to pass on; without a body it is a GET. */
export interface ForwardedRequest {
  path: string
  body?: object
  signal: AbortSignal
}

const passedHeaders = ['content-type', stepHeader, 'retry-after']

const gone = (): ApiError =>
  new ApiError(503, 'The process of this model has ended before its answer. Ask again.', { code: 'model_gone' })

/** Not `fetch`, which gives up after some minutes: a model in training answers after its step. @throws ApiError if the server is gone */
export const forward = (
  { url, token }: Address,
  { path, body, signal }: ForwardedRequest,
  onEnd: () => void = () => undefined,
): Promise<Response> =>
  new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const sent = sendRequest(new URL(path, url), {
      method: text === undefined ? 'GET' : 'POST',
      signal,
      agent: false,
      headers: {
        authorization: `Bearer ${token}`,
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }),
      },
    })
    sent.on('response', (response) => {
      response.once('close', onEnd)
      const headers = new Headers({ 'cache-control': 'no-store' })
      for (const name of passedHeaders) {
        const value = response.headers[name]
        if (typeof value === 'string') headers.set(name, value)
      }
      const stream = Readable.toWeb(response) as ReadableStream<Uint8Array>
      resolve(new Response(stream, { status: response.statusCode ?? 502, headers }))
    })
    sent.on('error', () => {
      onEnd()
      reject(gone())
    })
    sent.end(text)
  })

/** A run whose weights in training are served. */
export class LiveRun {
  readonly #folder: string

  /** @param name of the model in requests */
  private constructor(
    readonly name: string,
    folder: string,
  ) {
    this.#folder = folder
  }

  /** Whether a name of a model means weights in training: `run:FOLDER@live`. */
  static isNamedBy(model: string): boolean {
    return parseRunReference(model)?.step === 'live'
  }

  /** @throws ConfigError for a run that cannot be asked now */
  static async open(name: string, reference: string): Promise<LiveRun> {
    const { folder = '' } = parseRunReference(reference) ?? {}
    if ((await readLiveFile(folder)) !== undefined) return new LiveRun(name, folder)
    throw new ConfigError(
      `\`${reference}\` needs a run that trains now, started with \`--ui\`: start it, wait for its first step, or write run:FOLDER for its newest checkpoint.`,
    )
  }

  /**
   * Sends a request to the process that trains. One that was stopped and resumed is found again.
   * @param onEnd called when the answer is read, or cannot be had
   * @throws ApiError if the run does not train now
   */
  async ask(request: ForwardedRequest, onEnd?: () => void): Promise<Response> {
    const address = await readLiveFile(this.#folder)
    if (address !== undefined) return forward(address, request, onEnd)
    throw new ApiError(
      503,
      `The run of \`${this.name}\` does not train now. Ask again when it was resumed with --ui, or choose another model.`,
      { code: 'training_ended', headers: { 'retry-after': '5' } },
    )
  }

  /** Its entry in the list of models; while the run does not train, without what only its process knows. */
  async describe(signal: AbortSignal): Promise<object> {
    const response = await this.ask({ path: `/v1/models/${this.name}`, signal }).catch(() => undefined)
    if (response?.ok === true) return (await response.json()) as object
    await response?.body?.cancel()
    return { id: this.name, object: 'model', created: 0, owned_by: 'tunesmith', parent: null, endpoints: [] }
  }
}
