// What the endpoints of one server share: its models, its limits, its metrics, and how much work it has accepted.
import { z } from 'zod'
import { parseConfig } from '../core/index.ts'
import type { InferenceModel, LoadHooks } from '../inference/index.ts'
import { parseRunReference } from '../runs/index.ts'
import { isBatchInvariant, memoryStatistics, setBatchInvariant, setMemoryLimit } from '../tensor/index.ts'
import { ApiError, badRequest } from './http/errors.ts'
import { Metrics } from './metrics.ts'
import { Batcher } from './models/batcher.ts'
import type { EngineOptions } from './models/engine.ts'
import { type ModelSettings, type ServedModel, ServedModels } from './models/served-models.ts'
import { SpecialistWatch } from './models/specialist-watch.ts'
import type { Telemetry } from './tracing.ts'

const count = z.int().positive().optional()
const bytes = z.number().nonnegative().optional()
const seconds = z.number().positive().max(86_400).optional()

const schema = z.object({
  port: z.int().min(0).max(65_535).optional(),
  context: count,
  maxBodyBytes: count,
  maxNewTokens: count,
  maxWaiting: z.int().nonnegative().optional(),
  maxTexts: count,
  maxRows: count,
  prefillTokens: count,
  batchTokens: count,
  prefixCacheBytes: bytes,
  packedWeightBytes: bytes,
  memoryBytes: count,
  requestSeconds: seconds,
  drainSeconds: z.number().nonnegative().max(86_400).optional(),
  headerSeconds: seconds,
  bodySeconds: seconds,
  readSeconds: seconds,
})

/** @throws ConfigError for a limit that is no number of its kind */
export const checkLimits = (settings: object): void => void parseConfig(schema, settings, 'settings')

/** Limits of a server, each checked before the work that it limits. */
export interface Limits {
  /** Maximum bytes of a request's body (default: 4 MiB). */
  maxBodyBytes?: number
  /** Maximum number of new tokens of a text (default: the context). */
  maxNewTokens?: number
  /** Maximum number of texts that wait; further requests get status 429 (default: 256). */
  maxWaiting?: number
  /** Maximum seconds of a request (default: 600). */
  requestSeconds?: number
  /** Maximum number of texts that one request may ask for (default: 128). */
  maxTexts?: number
}

/** How models are computed. */
export interface ComputeSettings {
  /** Maximum number of texts that are generated together (default: 16). */
  maxRows?: number
  /** Maximum number of prompt tokens in a step (default: 256). */
  prefillTokens?: number
  /** Maximum bytes of keys and values of earlier prompts that are kept (default: 256 MiB). */
  prefixCacheBytes?: number
  /**
   * Maximum tokens in a batch of texts that are classified, embedded or tagged (default: 2048; vectors of decoders as many as
   * `prefillTokens`).
   */
  batchTokens?: number
  /**
   * Maximum bytes of float32 matrices that are also kept in the layout of the kernels, which makes small batches faster (default: a
   * quarter of the memory). The matrices of the files stay mapped, so that the system may take their memory back.
   */
  packedWeightBytes?: number
  /**
   * Maximum bytes of all tensors of the process (default: no limit): weights that are not mapped, caches and computation. Where they do
   * not suffice, fewer texts are computed together, and a request that does not fit alone gets status 503.
   */
  memoryBytes?: number
}

/** Settings of a service. */
export interface ServiceSettings extends ModelSettings, Limits, ComputeSettings {
  /** Folder of adapters that requests may load and remove (default: none, and such requests are refused). */
  adapterFolder?: string
  /** Folder whose adapters are served by the names of their folders, and follow their files (default: none). */
  watchFolder?: string
}

/** Called while a service is opened and used. */
export interface ServiceHooks extends LoadHooks {
  /** The API of OpenTelemetry, `@opentelemetry/api`: each request is a span (default: no traces). */
  telemetry?: Telemetry
  /** A request failed by a fault of the server. */
  onError?(error: unknown): void
}

const mebibyte = 2 ** 20
const defaultBatchTokens = 2048
/** More than any text has on average: a longer one need not be tokenised to be refused. */
const charactersPerToken = 64

const engineOptions = ({
  maxRows = 16,
  prefillTokens = 256,
  prefixCacheBytes = 256 * mebibyte,
  packedWeightBytes,
}: ComputeSettings): EngineOptions => ({ maxRows, prefillTokens, prefixCacheBytes, packedWeightBytes })

const namesNewest = (model: string): boolean => {
  const reference = parseRunReference(model)
  return reference !== undefined && reference.step === undefined
}

/**
 * Follows the adapters of the watched folder, and the models that are the newest of a run. A base stays as it is where adapters may share
 * its memory: they were trained on its weights.
 */
const startWatch = async (
  models: ServedModels,
  { model, watchFolder, adapterFolder, specialists = {} }: ServiceSettings,
  { onNote = () => undefined }: ServiceHooks,
): Promise<SpecialistWatch | undefined> => {
  const newest = Object.entries(specialists).filter(([, specialist]) => namesNewest(specialist))
  const { base, list } = models
  const baseIsShared = list.some(({ parent }) => parent === base?.name)
  if (
    namesNewest(model) &&
    base !== undefined &&
    watchFolder === undefined &&
    adapterFolder === undefined &&
    !baseIsShared
  )
    newest.push([base.name, model])
  if (watchFolder === undefined && newest.length === 0) return undefined
  const watch = new SpecialistWatch(models, { folder: watchFolder, runs: Object.fromEntries(newest) }, onNote)
  await watch.start()
  return watch
}

/** What a service changes for the whole process while it is open. */
interface ProcessSettings {
  invariant: boolean
  limit: number | undefined
}

/** The models of a server and the work on them. Call `close` to free them. */
export class Service {
  readonly limits: Required<Omit<Limits, 'maxNewTokens'>> & Pick<Limits, 'maxNewTokens'>
  readonly adapterFolder: string | undefined
  readonly metrics = new Metrics()
  readonly batcher = new Batcher()
  /** The API for traces of requests. */
  readonly telemetry: Telemetry | undefined
  /** Whether new requests are refused, since the server is about to stop. */
  draining = false
  readonly #hooks: ServiceHooks
  readonly #batchTokens: number | undefined
  readonly #maxRows: number
  readonly #processBefore: ProcessSettings | undefined
  readonly #watch: SpecialistWatch | undefined
  readonly #open = new Set<() => void>()
  #idle: (() => void)[] = []

  private constructor(
    readonly models: ServedModels,
    settings: ServiceSettings,
    hooks: ServiceHooks,
    own: { before?: ProcessSettings; watch?: SpecialistWatch } = {},
  ) {
    this.limits = {
      maxBodyBytes: settings.maxBodyBytes ?? 4 * mebibyte,
      maxNewTokens: settings.maxNewTokens,
      maxWaiting: settings.maxWaiting ?? 256,
      requestSeconds: settings.requestSeconds ?? 600,
      maxTexts: settings.maxTexts ?? 128,
    }
    this.adapterFolder = settings.adapterFolder
    this.#batchTokens = settings.batchTokens
    this.#maxRows = settings.maxRows ?? 16
    this.telemetry = hooks.telemetry
    this.#hooks = hooks
    this.#processBefore = own.before
    this.#watch = own.watch
  }

  /** Loads the models. @throws CheckpointError and ConfigError as `ServedModels.open` */
  static async open(settings: ServiceSettings, hooks: ServiceHooks = {}): Promise<Service> {
    checkLimits(settings)
    const before = { invariant: isBatchInvariant(), limit: memoryStatistics().limit }
    const { memoryBytes = before.limit } = settings
    let models: ServedModels | undefined
    try {
      setMemoryLimit(memoryBytes)
      models = await ServedModels.open(settings, engineOptions(settings), hooks)
      const watch = await startWatch(models, settings, hooks)
      // An answer must not depend on the other requests of its batch.
      setBatchInvariant(true)
      return new Service(models, settings, hooks, { before, watch })
    } catch (error) {
      models?.close()
      setMemoryLimit(before.limit)
      throw error
    }
  }

  /**
   * Serves a model whose weights belong to another part of the program, which keeps them. That part also sets `setBatchInvariant`.
   * @param version a number that changes whenever the weights do
   */
  static async borrow(
    loaded: InferenceModel,
    version: () => number,
    settings: ServiceSettings & { name: string },
    hooks: ServiceHooks = {},
  ): Promise<Service> {
    checkLimits(settings)
    const options = { ...engineOptions(settings), borrowed: version }
    return new Service(await ServedModels.around(loaded, settings, options), settings, hooks)
  }

  /** Requests that are being answered. */
  get openRequests(): number {
    return this.#open.size
  }

  /** Texts that wait and that are computed, and other work in the queues. */
  get load(): { waiting: number; running: number; queued: number } {
    const loads = this.models.engines.map(({ scheduler, queued }) => ({ ...scheduler?.load, queued }))
    const sum = (values: (number | undefined)[]) => values.reduce<number>((total, value = 0) => total + value, 0)
    return {
      waiting: sum(loads.map(({ waiting }) => waiting)),
      running: sum(loads.map(({ running }) => running)),
      queued: this.batcher.waiting + sum(loads.map(({ queued }) => queued)),
    }
  }

  /** Maximum tokens of a batch of texts. Requests are heard between batches, of decoders as often as while texts are generated. */
  batchTokens({ engine, text }: ServedModel): number {
    return this.#batchTokens ?? (text.model.facts.causal ? engine.prefillTokens : defaultBatchTokens)
  }

  /**
   * Accepts work, or refuses it when too much waits.
   * @param texts number of texts to generate, or 1 for other work
   * @throws ApiError for more texts than can ever be accepted, else with the status 429 and the seconds after which to try again
   */
  admit(texts: number): void {
    const places = this.limits.maxWaiting + this.#maxRows
    const most = Math.min(this.limits.maxTexts, places)
    if (texts > most) throw new ApiError(400, `Expected at most ${most} texts in one request, got ${texts}.`)
    const { waiting, running, queued } = this.load
    if (waiting + running + queued + texts <= places) return
    throw new ApiError(429, 'The server has too many requests. Try again later.', {
      code: 'rate_limit_exceeded',
      headers: { 'retry-after': String(Math.min(60, Math.max(1, Math.ceil(waiting / this.#maxRows)))) },
    })
  }

  /**
   * Refuses a text that cannot fit, before it is tokenised.
   * @throws ApiError for more characters than the context's tokens can have
   */
  expectLength(characters: number, { context, name }: ServedModel, param: string): void {
    const most = Math.max(16_384, charactersPerToken * context)
    if (characters <= most) return
    throw badRequest(
      `Expected at most ${most} characters for ${name}, whose context is ${context} tokens, got ${characters}. Shorten the text.`,
      param,
      'context_length_exceeded',
    )
  }

  /** Registers a request. @param abort ends it @returns to call when it has ended */
  begin(abort: () => void): () => void {
    this.#open.add(abort)
    return () => {
      this.#open.delete(abort)
      if (this.#open.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
    }
  }

  /** Reports a fault of the server. */
  report(error: unknown): void {
    this.#hooks.onError?.(error)
  }

  /** Refuses new requests and waits for those that run; after some seconds they are ended. */
  async drain(seconds: number): Promise<void> {
    this.draining = true
    const timer = setTimeout(() => {
      for (const abort of this.#open) abort()
    }, seconds * 1000)
    await this.idle()
    clearTimeout(timer)
  }

  /** Resolves when no request is being answered. */
  async idle(): Promise<void> {
    if (this.#open.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /** Frees the models. Requests that run are ended. */
  close(): void {
    this.draining = true
    this.#watch?.close()
    for (const abort of this.#open) abort()
    this.models.close()
    if (this.#processBefore === undefined) return
    setBatchInvariant(this.#processBefore.invariant)
    setMemoryLimit(this.#processBefore.limit)
  }
}
