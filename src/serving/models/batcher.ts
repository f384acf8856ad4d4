// Batches of texts that are classified, tagged, embedded or scored: what waits for one model is computed together. What is
// in a batch is split by tokens and packed below; an input at fault fails its own request only.
import { readArrivals } from '../arrivals.ts'
import type { ServedModel } from './served-models.ts'

/** The result of work; rejects with the reason of the signal as soon as it fires. The work must heed the signal itself. */
export const untilAborted = <Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> =>
  new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })

/** Inputs of a batch at most; their tokens are limited where they are computed. */
const maxInputs = 256

interface Pending {
  inputs: readonly unknown[]
  signal: AbortSignal
  compute(inputs: readonly unknown[], signal: AbortSignal): Promise<unknown[]>
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
   * @param compute its signal fires when nobody waits for the batch any more
   * @throws the reason of the signal as soon as it fires
   */
  run<Input, Output>(
    model: ServedModel,
    kind: string,
    inputs: readonly Input[],
    compute: (inputs: readonly Input[], signal: AbortSignal) => Promise<Output[]>,
    signal: AbortSignal,
  ): Promise<Output[]> {
    if (!this.#numbers.has(model)) this.#numbers.set(model, ++this.#models)
    const key = `${this.#numbers.get(model)} ${kind}`
    const outputs = new Promise<Output[]>((resolve, reject) => {
      const list = this.#waiting.get(key) ?? []
      // One list holds calls of every type; each is resolved with what its own `compute` gives.
      list.push({ inputs, signal, compute, resolve, reject } as unknown as Pending)
      this.#waiting.set(key, list)
      if (list.length === 1) this.#queue(model, key)
    })
    return untilAborted(outputs, signal)
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
        batch.push(next)
        count += next.inputs.length
      }
      if (list.length === 0) this.#waiting.delete(key)
      else this.#queue(model, key)
      await compute(model, batch)
    })
  }
}

/** A signal that fires when all of these have. */
const whenAll = (signals: readonly AbortSignal[]): { signal: AbortSignal; release(): void } => {
  const controller = new AbortController()
  const onAbort = () => {
    if (signals.every(({ aborted }) => aborted)) controller.abort()
  }
  onAbort()
  for (const signal of signals) signal.addEventListener('abort', onAbort)
  return {
    signal: controller.signal,
    release: () => {
      for (const signal of signals) signal.removeEventListener('abort', onAbort)
    },
  }
}

const compute = async (model: ServedModel, given: readonly Pending[]): Promise<void> => {
  const batch = given.filter(({ signal, reject }) => {
    if (signal.aborted) reject(signal.reason)
    return !signal.aborted
  })
  if (batch.length === 0) return
  const { signal, release } = whenAll(batch.map((one) => one.signal))
  try {
    model.activate()
    const outputs = await batch[0].compute(
      batch.flatMap(({ inputs }) => inputs),
      signal,
    )
    let from = 0
    for (const { inputs, resolve } of batch) {
      resolve(outputs.slice(from, from + inputs.length))
      from += inputs.length
    }
  } catch (error) {
    if (batch.length === 1) batch[0].reject(error)
    else for (const one of batch) await compute(model, [one])
  } finally {
    release()
  }
}
