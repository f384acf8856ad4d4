// A model that answers requests while it is trained: between two steps, with the weights of one step. Requests wait for the end of the
// step that is computed, and training waits for the answers, which are limited in tokens and time.
import { randomBytes } from 'node:crypto'
import type { ModelInTraining, ModelVisitor } from '../../runs/index.ts'
import { isBatchInvariant, setBatchInvariant } from '../../tensor/index.ts'
import { createApp } from '../app.ts'
import { readBytes } from '../http/body.ts'
import { ApiError, errorResponse, toApiError } from '../http/errors.ts'
import { bearerToken, type Listening, listen, loopbackHosts, tokenTest } from '../http/listen.ts'
import { Service } from '../service.ts'
import { removeLiveFile, stepHeader, writeLiveFile } from './live-run.ts'

/** Limits of the answers, so that training is not starved. */
export interface LiveLimits {
  /** Maximum number of new tokens of a text (default: 256). */
  maxNewTokens?: number
  /** Maximum seconds of a request (default: 20). */
  requestSeconds?: number
}

/** Called while a model in training is asked. */
export interface LiveHooks {
  /** A request failed by a fault of the server. Training continues. */
  onError?(error: unknown): void
}

/** Its name in the list of models; requests may give it any other one, which its answers then have. */
export const liveModelName = 'model'

/** Requests that wait for the end of a step. */
const maxWaiting = 32

interface Waiting {
  request: Request
  answer(response: Response): void
}

/** A model in training behind a loopback port. */
export class LiveModel implements ModelVisitor {
  readonly #inTraining: ModelInTraining
  readonly #hooks: LiveHooks
  readonly #service: Service
  readonly #app: ReturnType<typeof createApp>
  readonly #maxBodyBytes: number
  #listening: Listening | undefined
  #waiting: Waiting[] = []
  /** Step whose weights answer now. */
  step = 0
  #closed = false
  /** Answers may take half of the time: after some seconds of answers, training has the same before the next. */
  #notBefore = 0

  private constructor(inTraining: ModelInTraining, service: Service, hooks: LiveHooks) {
    this.#inTraining = inTraining
    this.#service = service
    this.#hooks = hooks
    this.#app = createApp(service)
    this.#maxBodyBytes = service.limits.maxBodyBytes
  }

  /** Listens, and writes the address into the folder of the run. */
  static async open(
    inTraining: ModelInTraining,
    { maxNewTokens = 256, requestSeconds = 20 }: LiveLimits = {},
    hooks: LiveHooks = {},
  ): Promise<LiveModel> {
    const { model, tokenizer, template, folder } = inTraining
    const report = { newHead: [], unused: [], notes: [] }
    const limits = { maxNewTokens, requestSeconds, maxRows: 4, prefixCacheBytes: 0, maxTexts: 4, maxBodyBytes: 2 ** 16 }
    let live: LiveModel | undefined
    const service = await Service.borrow(
      { model, tokenizer, report },
      () => live?.step ?? 0,
      { ...limits, name: liveModelName, model: folder, template },
      hooks,
    )
    live = new LiveModel(inTraining, service, hooks)
    const token = randomBytes(24).toString('base64url')
    const fits = tokenTest(token)
    const opened = live
    live.#listening = await listen('127.0.0.1', 0, (request) => opened.#accept(request, fits))
    live.#listening.server.unref()
    await writeLiveFile(folder, { url: live.#listening.url, token })
    return live
  }

  /** Answers the requests that wait. Without any there is nothing to wait for. */
  beforeStep(step: number): Promise<void> | undefined {
    this.step = step
    if (this.#waiting.length === 0 || performance.now() < this.#notBefore) return undefined
    return this.#answerAll(this.#waiting.splice(0))
  }

  /** Refuses what waits, and removes the address. */
  async close(): Promise<void> {
    this.#closed = true
    for (const { answer } of this.#waiting.splice(0)) answer(errorResponse(ended()))
    await removeLiveFile(this.#inTraining.folder)
    this.#listening?.server.close()
    // What was just answered may still be on its way.
    setTimeout(() => this.#listening?.server.closeAllConnections(), 500).unref()
    this.#service.close()
  }

  async #accept(request: Request, fits: (given: string | undefined) => boolean): Promise<Response> {
    try {
      const host = (request.headers.get('host') ?? '').replace(/:\d*$/, '')
      if (!loopbackHosts.includes(host) || !fits(bearerToken(request.headers.get('authorization') ?? undefined)))
        throw new ApiError(401, 'Expected the token of this model in the header `authorization: Bearer …`.')
      // A description reads no weights.
      if (request.method === 'GET') return await this.#answer(request)
      if (this.#closed) throw ended()
      if (this.#waiting.length >= maxWaiting)
        throw new ApiError(429, 'Too many requests wait for the model in training. Try again later.')
      // Read now: training must not wait for a client that sends slowly.
      const body = new Uint8Array(await readBytes(request, this.#maxBodyBytes))
      const { url, headers, method, signal } = request
      return await this.#inTurn(new Request(url, { method, headers, body, signal }))
    } catch (error) {
      return errorResponse(toApiError(error))
    }
  }

  #inTurn(request: Request): Promise<Response> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { request, answer: resolve }
      this.#waiting.push(waiting)
      request.signal.addEventListener('abort', () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting)
        reject(request.signal.reason)
      })
    })
  }

  async #answer(request: Request): Promise<Response> {
    const response = await this.#app.fetch(request)
    response.headers.set(stepHeader, String(this.step))
    return response
  }

  async #answerAll(requests: readonly Waiting[]): Promise<void> {
    const { model } = this.#inTraining
    const from = performance.now()
    const wasTraining = model.training
    const invariant = isBatchInvariant()
    model.eval()
    setBatchInvariant(true)
    try {
      await Promise.all(
        requests.map(async ({ request, answer }) => {
          answer(await this.#answer(request).catch((error) => errorResponse(toApiError(error))))
        }),
      )
      // The texts that are sent as events.
      await this.#service.idle()
      for (const { scheduler } of this.#service.models.engines) scheduler?.free()
    } catch (error) {
      this.#hooks.onError?.(error)
    } finally {
      setBatchInvariant(invariant)
      if (wasTraining) model.train()
      const now = performance.now()
      this.#notBefore = now + (now - from)
    }
  }
}

const ended = (): ApiError =>
  new ApiError(503, 'The training of this model has ended. Choose its finished model, or a checkpoint.', {
    code: 'training_ended',
  })
