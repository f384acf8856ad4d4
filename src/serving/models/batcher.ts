// Batches of texts that are classified, tagged, embedded or scored: what waits for one model is computed together. What is
// in a batch is split by tokens and packed below; an input at fault fails its own request only.
import { readArrivals } from '../arrivals.ts'
import type { ServedModel } from './served-models.ts'

/** Inputs of a batch at most; their tokens are limited where they are computed. */
const maxInputs = 256

interface Pending {
  inputs: readonly unknown[]
  signal: AbortSignal
  compute(inputs: readonly unknown[]): Promise<unknown[]>
  resolve(outputs: unknown[]): void
  reject(error: unknown): void
}

/** The work of encoders in one service. */
export class Batcher {
  readonly #waiting = new Map<string, Pending[]>()
  #models = 0
  readonly #numbers = new WeakMap<ServedModel, number>()

  /** Inputs that wait. */
  get waiting(): number {
    return [...this.#waiting.values()].flat().length
  }

  /**
   * Computes inputs, with those of other requests of the same kind.
   * @param kind what is computed with which options: requests of one kind have functions that compute the same
   */
  run<Input, Output>(
    model: ServedModel,
    kind: string,
    inputs: readonly Input[],
    compute: (inputs: readonly Input[]) => Promise<Output[]>,
    signal: AbortSignal,
  ): Promise<Output[]> {
    if (!this.#numbers.has(model)) this.#numbers.set(model, ++this.#models)
    const key = `${this.#numbers.get(model)} ${kind}`
    return new Promise<Output[]>((resolve, reject) => {
      const list = this.#waiting.get(key) ?? []
      // One list holds calls of every type; each is resolved with what its own `compute` gives.
      list.push({ inputs, signal, compute, resolve, reject } as unknown as Pending)
      this.#waiting.set(key, list)
      if (list.length === 1) this.#queue(model, key)
    })
  }

  #queue(model: ServedModel, key: string): void {
    void model.engine.inTurn(async () => {
      // Requests that have arrived by now are read first: else one would be computed alone, and the others after it.
      await readArrivals()
      const list = this.#waiting.get(key) ?? []
      const batch: Pending[] = []
      let count = 0
      while (list.length > 0 && (count === 0 || count + list[0].inputs.length <= maxInputs)) {
        const next = list.shift() as Pending
        if (next.signal.aborted) next.reject(next.signal.reason)
        else {
          batch.push(next)
          count += next.inputs.length
        }
      }
      if (list.length === 0) this.#waiting.delete(key)
      else this.#queue(model, key)
      if (batch.length > 0) await compute(model, batch)
    })
  }
}

const compute = async (model: ServedModel, batch: readonly Pending[]): Promise<void> => {
  try {
    model.activate()
    const outputs = await batch[0].compute(batch.flatMap(({ inputs }) => inputs))
    let from = 0
    for (const { inputs, resolve } of batch) {
      resolve(outputs.slice(from, from + inputs.length))
      from += inputs.length
    }
  } catch (error) {
    if (batch.length === 1) batch[0].reject(error)
    else for (const one of batch) await compute(model, [one])
  }
}
