// One base in memory with what computes on it: the scheduler of its texts, and a queue for everything else. Both run on the
// event loop of the process, a step at a time, so requests are accepted meanwhile.
import { adapterRouting, adaptersOf } from '../../adapters/index.ts'
import { GenerationScheduler, type SpeculationOptions } from '../../generation/index.ts'
import type { InferenceModel } from '../../inference/index.ts'
import { freeWeights, keepPackedWeights, writesText } from '../../models/index.ts'
import { readArrivals } from '../arrivals.ts'

/** Settings of an engine. */
export interface EngineOptions {
  /** Maximum number of texts that are computed together. */
  maxRows: number
  /** Maximum number of prompt tokens in a step: how long a step takes, and so how soon a request is heard. */
  prefillTokens: number
  /** Maximum bytes of keys and values of earlier prompts. */
  prefixCacheBytes: number
  /** Maximum bytes of float32 matrices in the layout of the kernels. */
  packedWeightBytes: number | undefined
  /**
   * For weights that belong to another part of the program, such as a training loop: their adapters stay active as they are, and they
   * are not freed. Its value changes whenever the weights do.
   */
  borrowed?: () => number
  /** Proposes the next tokens of texts; a model that does not continue texts ignores it. */
  speculation?: SpeculationOptions
}

/** Texts that warm up an engine, and tokens of their prompts: less than are kept for later texts. */
const warmUpRows = 16
const warmUpPrompt = 12

/** A base and its work. */
export class Engine {
  /** Adapter that the base itself was loaded with; null for none, and undefined for whatever is active on borrowed weights. */
  readonly ownAdapter: string | null | undefined
  /** Undefined for a base that does not write text. */
  readonly scheduler: GenerationScheduler | undefined
  /** Maximum number of tokens of a text that are computed before requests are heard. */
  readonly prefillTokens: number
  readonly #borrowed: boolean
  readonly #packedWeightBytes: number | undefined
  readonly #maxRows: number
  #turn: Promise<unknown> = Promise.resolve()
  /** Work in the queue, without texts. */
  queued = 0

  constructor(
    readonly loaded: InferenceModel,
    { borrowed, speculation, packedWeightBytes, ...options }: EngineOptions,
  ) {
    this.#borrowed = borrowed !== undefined
    this.#packedWeightBytes = packedWeightBytes
    this.#maxRows = options.maxRows
    this.prefillTokens = options.prefillTokens
    const { model } = loaded
    model.eval()
    const bank = adaptersOf(model)
    if (borrowed === undefined) {
      this.ownAdapter = bank.active.at(-1) ?? null
      bank.activate([])
    }
    this.prepareWeights()
    if (writesText(model))
      this.scheduler = new GenerationScheduler(model, {
        ...options,
        idlePrefillTokens: options.prefillTokens,
        turn: readArrivals,
        tokenizer: loaded.tokenizer,
        ...(model.facts.causal ? { speculation } : {}),
        ...(borrowed === undefined ? { adapters: adapterRouting(model) } : { version: borrowed }),
      })
  }

  /** Prepares new weights, such as those of an adapter, for fast products. */
  prepareWeights(): void {
    // Weights that are trained would be packed again after each step.
    if (!this.#borrowed) keepPackedWeights(this.loaded.model, this.#packedWeightBytes)
  }

  /**
   * Begins short texts in as many rows as the first clients may take, behind all requests: until code and memory have been used once,
   * answers take about twice as long.
   */
  warmUp(): void {
    const { scheduler, loaded } = this
    if (this.#borrowed || scheduler === undefined) return
    const { facts } = loaded.model
    const prompt = (row: number) =>
      Array.from(
        { length: Math.min(warmUpPrompt, (facts.maxPositions ?? warmUpPrompt) - 1) },
        (_, i) => (row + i) % facts.vocabSize,
      )
    const begin = async (row: number) =>
      scheduler.submit({ prompt: prompt(row), options: { maxNewTokens: 2 }, priority: Number.MAX_SAFE_INTEGER }).result
    // A model that cannot compute it, or whose context is too short for it, says so to the first request.
    for (let row = 0; row < Math.min(warmUpRows, this.#maxRows); row++) begin(row).catch(() => undefined)
  }

  /**
   * Runs work that activates an adapter, when the work before it is done. Steps of the scheduler may run meanwhile: they put
   * back what was active.
   */
  async inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    this.queued++
    const mine = this.#turn.then(work)
    this.#turn = mine.then(
      () => undefined,
      () => undefined,
    )
    try {
      return await mine
    } finally {
      this.queued--
    }
  }

  /** Ends all texts and frees caches, and the weights if they are its own. */
  close(): void {
    this.scheduler?.free()
    if (this.#borrowed) return
    const { model } = this.loaded
    adaptersOf(model).activate([])
    freeWeights(model)
  }
}
