// An adapter of one layer of the base: it wraps the layer's forward function. The layer stays where it is, with its
// parameters under their paths; its active adapters are its children.
import { ShapeError } from '../core/index.ts'
import { Linear, type LowRankRows, Module } from '../nn/index.ts'
import { cat, type Tensor } from '../tensor/index.ts'

type Forward = (...inputs: never[]) => unknown

/** An adapter of one layer. Its tensors are trained; their paths are `<layer>.adapters.<name>.<field>`. */
export abstract class LayerAdapter<Host extends Module = Module, Way extends Forward = Forward> extends Module {
  /**
   * Wraps the forward function of a layer.
   * @param next the layer without this adapter, but with those below it
   * @param lowest true without adapters below: `next` is the layer's own forward function
   */
  abstract wrap(host: Host, next: Way, lowest?: boolean): Way

  /** Its own tensors by path, without those of other adapters that it uses. */
  ownParameters(): Map<string, Tensor> {
    return this.parameters()
  }

  /** Whether a row of its output depends on that row alone, so that rows with different adapters can be in one batch. */
  get rowWise(): boolean {
    return false
  }

  /** The low-rank change of each row of a batch, for fused kernels that compute it themselves; undefined for other changes. */
  lowRank(_rows: number): readonly LowRankRows[] | undefined {
    return undefined
  }

  /**
   * Tensors that replace the layer's own fields and have this adapter's effect; undefined for a change that is not
   * linear.
   */
  merged(_host: Host): Record<string, Tensor> | undefined {
    return undefined
  }

  /** The matrix of an output layer with this adapter's change, for losses that compute logits in chunks. */
  outputMatrix(weight: Tensor): Tensor {
    return weight
  }

  /** Sets the values to the weighted sum of adapters of the same kind and size. */
  setToSum(parts: readonly { adapter: LayerAdapter; weight: number }[]): void {
    const given = parts.map(({ adapter, weight }) => ({ values: adapter.ownParameters(), weight }))
    for (const [path, parameter] of this.ownParameters()) parameter.copy_(weightedSum(given, path))
  }
}

/** The weighted sum of the tensors at one path. @throws ShapeError for different sizes */
export const weightedSum = (
  parts: readonly { values: ReadonlyMap<string, Tensor>; weight: number }[],
  path: string,
): Tensor => {
  const shapes = new Set(parts.map(({ values }) => values.get(path)?.shape.join()))
  if (shapes.size !== 1 || shapes.has(undefined))
    throw new ShapeError(
      `Expected one shape of \`${path}\` in all adapters to be averaged, got ${[...shapes].join(' and ')}.`,
    )
  return parts.map(({ values, weight }) => values.get(path)!.mul(weight)).reduce((sum, value) => sum.add(value))
}

/** The active adapters of one layer, innermost first, and hooks around all of them. */
class AdapterSlot extends Module {
  readonly #adapters = new Map<string, LayerAdapter>()
  readonly #hooks = new Set<LayerAdapter>()

  get isEmpty(): boolean {
    return this.#adapters.size + this.#hooks.size === 0
  }

  set(name: string, adapter: LayerAdapter): void {
    this.#adapters.set(name, adapter)
  }

  delete(name: string): void {
    this.#adapters.delete(name)
  }

  addHook(hook: LayerAdapter): void {
    this.#hooks.add(hook)
  }

  removeHook(hook: LayerAdapter): void {
    this.#hooks.delete(hook)
  }

  override *children(): Iterable<[string, Module]> {
    yield* this.#adapters
  }

  lowRank(rows: number): readonly LowRankRows[] | undefined {
    if (this.#hooks.size > 0 || this.#adapters.size > 1) return undefined
    const [adapter] = this.#adapters.values()
    return adapter?.lowRank(rows)
  }

  outputMatrix(weight: Tensor): Tensor {
    return [...this.#adapters.values()].reduce((matrix, adapter) => adapter.outputMatrix(matrix), weight)
  }

  compose(host: Module, own: Forward): Forward {
    const adapted = [...this.#adapters.values()].reduce<Forward>(
      (next, adapter) => adapter.wrap(host, next, next === own),
      own,
    )
    return [...this.#hooks].reduce<Forward>((next, hook) => hook.wrap(host, next), adapted)
  }
}

type Hosting = Module & { adapters?: AdapterSlot; forward?: Forward }

/**
 * Composes the forward function anew. The layer's own is on its prototype; one on the object goes through the adapters.
 */
const compose = (host: Hosting): void => {
  delete host.forward
  if (host instanceof Linear) {
    delete host.lowRank
    delete host.changedMatrix
  }
  if (host.adapters === undefined || host.adapters.isEmpty) {
    delete host.adapters
    return
  }
  // No longer that of the object, which was deleted above, but the class's.
  const own = (Reflect.get(host, 'forward') as Forward).bind(host)
  // Not enumerable: parameters and children are found by enumeration.
  const define = (name: string, value: unknown) =>
    Object.defineProperty(host, name, { value, configurable: true, enumerable: false })
  const { adapters } = host
  define('forward', adapters.compose(host, own))
  if (host instanceof Linear) {
    define('lowRank', (rows: number) => adapters.lowRank(rows))
    define('changedMatrix', () => adapters.outputMatrix(host.weight))
  }
}

const change = (host: Module, edit: (slot: AdapterSlot) => void): void => {
  const hosting = host as Hosting
  hosting.adapters ??= new AdapterSlot()
  edit(hosting.adapters)
  if (host.training) hosting.adapters.train()
  else hosting.adapters.eval()
  compose(hosting)
}

/** Puts an adapter on a layer, around those that are there. */
export const insertAdapter = (host: Module, name: string, adapter: LayerAdapter): void =>
  change(host, (slot) => slot.set(name, adapter))

/** Takes an adapter off a layer. */
export const removeAdapter = (host: Module, name: string): void => change(host, (slot) => slot.delete(name))

/** Wraps a layer in a hook without parameters, which is no child of the layer. */
export const addHook = (host: Module, hook: LayerAdapter): void => change(host, (slot) => slot.addHook(hook))

/** Takes a hook off a layer. */
export const removeHook = (host: Module, hook: LayerAdapter): void => change(host, (slot) => slot.removeHook(hook))

// One layer of the base for rows with different adapters: the base's own output is computed once for all rows, and each
// adapter changes its own.

/** Consecutive tokens of a packed row with one adapter; null for none. */
export interface RoutedSegment {
  name: string | null
  from: number
  count: number
}

/** The segments of the batch that is being computed. */
interface Route {
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
