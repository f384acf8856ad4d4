// Decoding steps of fixed shapes on a device, for rows that each have one new token: lengths and places are in tensors of the device,
// so that a step is recorded once and then replayed in one call. Rows are filled up to a power of two with copies of the last one,
// and attention reads keys up to a power of two. Independent of architectures.
import { positionsBelow, replacedRotaryTables, reservePositions } from '../nn/index.ts'
import {
  DeviceGraph,
  freeTensors,
  hasDeviceGraphs,
  isOutOfMemory,
  keepUntilFreed,
  noGrad,
  scope,
  Tensor,
  upload,
} from '../tensor/index.ts'
import { type LanguageModel, logitsOf } from './decoding-batch.ts'
import type { Piece, SlotCache, StepPlaces } from './slot-cache.ts'

/** Fewest keys that attention reads. */
const leastKeys = 64
/** Graphs that are kept: those of some numbers of rows and lengths. */
const mostGraphs = 8

/** A kind of steps, by its shapes. */
interface Kind {
  /** Ids, positions, slots, written places and lengths, int64 [5,rows]; of all steps once one is recorded. */
  inputs?: Tensor
  graph?: DeviceGraph
}

const powerOfTwo = (least: number): number => 2 ** Math.ceil(Math.log2(least))

/** Steps of one model and cache. Call `free()` when weights change, and when done. */
export class FixedSteps {
  readonly #model: LanguageModel
  readonly #cache: SlotCache
  readonly #device: string
  /** In the order of their last use. */
  readonly #kinds = new Map<string, Kind>()
  #graphs: boolean
  /** What recorded steps rest on: the buffer of the cache, and tables of angles. */
  #base = ''

  /** @param graphs record steps where libtorch can (default: true) */
  constructor(model: LanguageModel, cache: SlotCache, graphs = true) {
    this.#model = model
    this.#cache = cache
    this.#device = model.body.embedTokens.device
    this.#graphs = graphs && hasDeviceGraphs(this.#device)
  }

  /** Whether these tokens are such a step: one of each row, after others. */
  fits(pieces: readonly Piece[]): boolean {
    return (
      this.#device !== 'cpu' &&
      pieces.every(({ slot, ids, wanted = 1 }) => ids.length === 1 && wanted === 1 && this.#cache.length(slot) > 0)
    )
  }

  /** Runs the tokens through the model and caches them. @returns logits after each, float32 [n,V], until the next step */
  logits(pieces: readonly Piece[]): Tensor {
    const positions = pieces.map(({ slot }) => this.#cache.length(slot))
    const places = this.#cache.beginStep(pieces)
    try {
      const all = noGrad(() => this.#compute(pieces, positions, places))
      this.#cache.commit()
      return all.shape[0] === pieces.length ? all : noGrad(() => all.narrow(0, 0, pieces.length))
    } catch (error) {
      this.#cache.cancel()
      throw error
    }
  }

  /** Forgets what was recorded. */
  free(): void {
    for (const kind of this.#kinds.values()) this.#drop(kind)
    this.#kinds.clear()
  }

  #drop({ graph, inputs }: Kind): void {
    graph?.free()
    if (inputs !== undefined) freeTensors([inputs])
  }

  #compute(pieces: readonly Piece[], positions: readonly number[], places: StepPlaces): Tensor {
    const rows = powerOfTwo(pieces.length)
    const keys = Math.min(this.#cache.capacity, powerOfTwo(Math.max(leastKeys, ...places.lengths)))
    const values = [pieces.map(({ ids }) => ids[0]), positions, places.slots, places.written, places.lengths]
    const bits = BigInt64Array.from(
      values.flatMap((row) => Array.from({ length: rows }, (_, i) => BigInt(row[Math.min(i, row.length - 1)]))),
    )
    const given = upload(Tensor.from(bits, { shape: [5, rows] }), this.#device)
    if (!this.#graphs) return this.#forward(positionsBelow, given, Math.max(...positions) + 1, keys)
    const name = `${rows}x${keys}`
    const kind = this.#kindOf(name)
    if (kind.graph !== undefined && kind.inputs !== undefined) {
      kind.inputs.copy_(given)
      return kind.graph.replay()
    }
    const seenBefore = kind.inputs !== undefined
    try {
      // The first step of a kind makes what a recording must find: tables of angles, and whatever libraries load.
      if (!seenBefore) {
        const first = this.#forward(reservePositions, given, keys, keys)
        // Tables may have been replaced, which graphs of other kinds read.
        this.#kindOf(name).inputs = given
        keepUntilFreed([given])
        return first
      }
      const inputs = kind.inputs as Tensor
      inputs.copy_(given)
      kind.graph = DeviceGraph.capture(() => this.#forward(reservePositions, inputs, keys, keys))
      return kind.graph.replay()
    } catch (error) {
      this.free()
      if (isOutOfMemory(error)) throw error
      this.#graphs = false
      const reason = error instanceof Error ? error.message : String(error)
      process.emitWarning(`Decoding continues without a graph of its steps: ${reason}`, 'TunesmithWarning')
      return this.#forward(positionsBelow, given, Math.max(...positions) + 1, keys)
    }
  }

  get #baseNow(): string {
    return `${this.#cache.buffer}/${replacedRotaryTables()}`
  }

  /** The kind of a step; what was recorded over memory that is no longer there is forgotten. */
  #kindOf(name: string): Kind {
    if (this.#base !== this.#baseNow) this.free()
    this.#base = this.#baseNow
    const kind = this.#kinds.get(name) ?? {}
    this.#kinds.delete(name)
    this.#kinds.set(name, kind)
    for (const [oldest, one] of this.#kinds) {
      if (this.#kinds.size <= mostGraphs) break
      this.#drop(one)
      this.#kinds.delete(oldest)
    }
    return kind
  }

  /** @param note tells tables of angles which positions there are */
  #forward(note: (positions: Tensor, end: number) => Tensor, inputs: Tensor, end: number, keys: number): Tensor {
    return scope(() => {
      const row = (i: number) => inputs.select(0, i)
      const rows = inputs.shape[1]
      this.#cache.fix({ slots: row(2), written: row(3), lengths: row(4), keys })
      const { hidden } = this.#model.body.forward({
        inputIds: row(0).unsqueeze(0),
        positionIds: note(row(1).unsqueeze(0), end),
        starts: Tensor.from(BigInt64Array.from({ length: rows + 1 }, (_, i) => BigInt(i))),
        cache: this.#cache.layers,
      })
      return logitsOf(this.#model, hidden.squeeze(0))
    })
  }
}
