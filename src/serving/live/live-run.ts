// The model of a run in training as one of the models of a server: the process that trains it answers, between two steps.

import { ConfigError } from '../../core/index.ts'
import { parseRunReference } from '../../runs/index.ts'
import { ApiError } from '../http/errors.ts'
import { type ForwardedRequest, forward } from './forward.ts'
import { readLiveFile } from './live-file.ts'

/** A run whose weights in training are served. */
export class LiveRun {
  /** Name of the model in requests. */
  readonly name: string
  readonly #folder: string

  private constructor(name: string, folder: string) {
    this.name = name
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
