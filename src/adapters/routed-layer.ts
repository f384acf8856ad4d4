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
  readonly #adapters: ReadonlyMap<string, readonly LayerAdapter[]>

  /** @param adapters row-wise adapters of the layer by name, those of a stack lowest first */
  constructor(route: Route, adapters: ReadonlyMap<string, readonly LayerAdapter[]>) {
    super()
    this.#route = route
    this.#adapters = adapters
  }

  override *children(): Iterable<[string, Module]> {
    for (const [name, stack] of this.#adapters)
      for (const [i, adapter] of stack.entries()) yield [i === 0 ? name : `${name}-${i}`, adapter]
  }

  override lowRank(): readonly LowRankRows[] | undefined {
    const changes: LowRankRows[] = []
    for (const { name, from, count } of this.#route.segments) {
      const [adapter, ...above] = (name === null ? undefined : this.#adapters.get(name)) ?? []
      if (adapter === undefined) continue
      // A fused kernel adds one change to a row.
      if (above.length > 0) return undefined
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
        const stack = name === null ? undefined : this.#adapters.get(name)
        if (stack === undefined) return part
        const seen = whole ? input : input.narrow(1, from, count)
        // What the adapter changes of the same input is known already.
        const below: Way = (given, ...rest) => (given === seen ? part : next(given, ...rest))
        const layers = stack as readonly LayerAdapter<Module, Way>[]
        return layers.reduce((way, adapter, i) => adapter.wrap(host, way, i === 0), below)(seen, ...more)
      })
      return parts.length === 1 ? parts[0] : cat(parts, 1)
    }
  }
}
