// The models of the playground that are in memory, each in a process of its own: loaded when a page first asks, and the one that was
// not used for the longest time is unloaded when there are too many.
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { byCodeUnits, startProcess, unpackError } from '../../core/index.ts'
import { ApiError } from '../http/errors.ts'
import { type Address, type ForwardedRequest, forward } from '../live/live-run.ts'
import { untilAborted } from '../models/batcher.ts'
import type { PlaygroundState } from '../studio/types/api-types.ts'
import type { MessageFromModel, MessageToModel } from './model-process.ts'

/** A model in memory, or on its way there. */
type HostedModel = PlaygroundState['loaded'][number]

/** Where a model is loaded from. */
export interface ModelSource {
  /** Folder, file or Hub id. */
  model: string
  /** Another value for other weights in the same place. */
  version: string
}

interface Host {
  version: string
  child: ChildProcess
  ready: Promise<Address>
  state: HostedModel['state']
  memoryBytes: number | null
  /** Requests that are being answered. */
  users: number
  used: number
}

/** The processes of the models that are in memory. */
export class ModelHosts {
  readonly #hosts = new Map<string, Host>()
  #uses = 0

  /** @param limit maximum number of models in memory */
  constructor(readonly limit: number) {}

  /** The models in memory, by name. */
  get list(): HostedModel[] {
    return [...this.#hosts]
      .map(([id, { state, memoryBytes }]) => ({ id, state, memoryBytes }))
      .sort((a, b) => byCodeUnits(a.id, b.id))
  }

  /**
   * Sends a request to a model, which is loaded first if it must be.
   * @throws what loading throws; ApiError if all models in memory are busy
   */
  async ask(id: string, source: ModelSource, request: ForwardedRequest): Promise<Response> {
    if (this.#hosts.get(id)?.version !== source.version) this.unload(id)
    const host = this.#hosts.get(id) ?? this.#start(id, source)
    host.users++
    host.used = ++this.#uses
    let ended = false
    const end = () => {
      if (!ended) host.users--
      ended = true
    }
    try {
      return await forward(await untilAborted(host.ready, request.signal), request, end)
    } catch (error) {
      end()
      throw error
    }
  }

  /** Frees a model. Requests to it fail. */
  unload(id: string): void {
    const host = this.#hosts.get(id)
    this.#hosts.delete(id)
    host?.child.kill('SIGKILL')
  }

  close(): void {
    for (const id of [...this.#hosts.keys()]) this.unload(id)
  }

  #start(id: string, { model, version }: ModelSource): Host {
    this.#makeRoom()
    const child = startProcess(new URL('./model-process.ts', import.meta.url), {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    const ready = this.#address(id, child)
    const host: Host = { child, ready, version, state: 'loading', memoryBytes: null, users: 0, used: 0 }
    host.ready.then(
      () => {
        host.state = 'loaded'
      },
      () => this.#forget(id, host),
    )
    child.on('message', (message: MessageFromModel) => {
      if (message.type === 'memory') host.memoryBytes = message.bytes
    })
    child.once('exit', () => this.#forget(id, host))
    const message: MessageToModel = { model, token: randomBytes(24).toString('base64url') }
    child.send(message)
    this.#hosts.set(id, host)
    return host
  }

  #forget(id: string, host: Host): void {
    if (this.#hosts.get(id) === host) this.#hosts.delete(id)
  }

  #address(id: string, child: ChildProcess): Promise<Address> {
    return new Promise((resolve, reject) => {
      child.on('message', (message: MessageFromModel) => {
        if (message.type === 'ready') resolve(message.address)
        else if (message.type === 'error') reject(loadingError(id, unpackError(message.error)))
      })
      child.on('error', (error) => reject(loadingError(id, error)))
      child.once('exit', () =>
        reject(
          new ApiError(503, `The process of the model ${id} has ended while it was loaded.`, { code: 'model_gone' }),
        ),
      )
    })
  }

  #makeRoom(): void {
    while (this.#hosts.size >= this.limit) {
      const idle = [...this.#hosts].filter(([, { users }]) => users === 0).sort(([, a], [, b]) => a.used - b.used)
      if (idle.length === 0)
        throw new ApiError(
          503,
          `All ${this.limit} models in memory are busy. Wait for their answers, or unload one of them.`,
          { code: 'models_busy' },
        )
      this.unload(idle[0][0])
    }
  }
}

/** The cause in its own words: who opens the studio may know the folders of this machine. */
const loadingError = (id: string, error: unknown): ApiError =>
  new ApiError(422, `The model ${id} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`, {
    code: 'model_not_loaded',
  })
