// One layer of the base for rows with different adapters: the base's own output is computed once for all rows, and each
// adapter changes its own.
import type { LowRankRows, Module } from '../nn/index.ts'
import { cat, type Tensor } from '../tensor/index.ts'
import { LayerAdapter } from './layer-adapter.ts'

/** Consecutive tokens of a packed row with one adapter; null for none. */
export interface RoutedSegment {
  name: string | null
  from: number
  count: number
}

/** The segments of the batch that is being computed. */
export interface Route {
  segments: readonly RoutedSegment[]
}

type Way = (input: Tensor, ...more: never[]) => Tensor

/** The adapters of several names on one layer. */
export class RoutedLayer extends LayerAdapter<Module, Way> {
  readonly #route: Route
  readonly #adapters: ReadonlyMap<string, LayerAdapter>

  /** @param adapters row-wise adapters of the layer, by name */
  constructor(route: Route, adapters: ReadonlyMap<string, LayerAdapter>) {
    super()
    this.#route = route
    this.#adapters = adapters
  }

  override *children(): Iterable<[string, Module]> {
    yield* this.#adapters
  }

  override lowRank(): readonly LowRankRows[] | undefined {
    const changes: LowRankRows[] = []
    for (const { name, from, count } of this.#route.segments) {
      const adapter = name === null ? undefined : this.#adapters.get(name)
      if (adapter === undefined) continue
      const own = adapter.lowRank(count)
      if (own === undefined) return undefined
      changes.push(...own.map((change) => ({ ...change, from: from + change.from })))
    }
    return changes
  }

  /** [1,N,...] -> [1,N,...] */
  wrap(host: Module, next: Way): Way {
    return (input, ...more) => {
      const own = next(input, ...more)
      const { segments } = this.#route
      const parts = segments.map(({ name, from, count }) => {
        const whole = segments.length === 1
        const part = whole ? own : own.narrow(1, from, count)
        const adapter = name === null ? undefined : this.#adapters.get(name)
        if (adapter === undefined) return part
        const seen = whole ? input : input.narrow(1, from, count)
        // What the adapter changes of the same input is known already.
        const below: Way = (given, ...rest) => (given === seen ? part : next(given, ...rest))
        return (adapter as LayerAdapter<Module, Way>).wrap(host, below, true)(seen, ...more)
      })
      return parts.length === 1 ? parts[0] : cat(parts, 1)
    }
  }
}
