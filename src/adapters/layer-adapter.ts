// What stands in front of one layer of a base: it gets the layer's input and the layer's own way of computing, and gives the output.
// The layer stays where it is, with its parameters under their paths; adapters are its children while they are active.
import { ShapeError } from '../core/index.ts'
import { Module } from '../nn/index.ts'
import type { Generator, Tensor } from '../tensor/index.ts'

type Forward = (...inputs: never[]) => unknown

/** Where an adapter's dropout draws from: the stream of the batch that the body is at. */
export interface Draws {
  generator?: Generator
}

/** An adapter of one layer. Its tensors are trained; they are reached as `<layer>.adapters.<name>.<field>`. */
export abstract class LayerAdapter<Host extends Module = Module, Way extends Forward = Forward> extends Module {
  /**
   * @param next what the layer does without this adapter, with those below it
   * @param lowest true where there are none below it: `next` is the layer's own way
   */
  abstract wrap(host: Host, next: Way, lowest?: boolean): Way

  /** Tensors that do for the layer what this adapter does, by the layer's own fields; undefined where nothing linear does. */
  merged(_host: Host): Record<string, Tensor> | undefined {
    return undefined
  }

  /** Takes on the weighted sum of what others of its kind and size have learned. */
  setToSum(parts: readonly { adapter: LayerAdapter; weight: number }[]): void {
    const given = parts.map(({ adapter, weight }) => ({ values: adapter.parameters(), weight }))
    for (const [path, parameter] of this.parameters()) parameter.copy_(weightedSum(given, path))
  }
}

/** @throws ShapeError when one of them has another size */
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

/** The adapters of one layer that are active, the innermost first. */
class AdapterSlot extends Module {
  readonly #adapters = new Map<string, LayerAdapter>()

  get size(): number {
    return this.#adapters.size
  }

  set(name: string, adapter: LayerAdapter): void {
    this.#adapters.set(name, adapter)
  }

  delete(name: string): void {
    this.#adapters.delete(name)
  }

  override *children(): Iterable<[string, Module]> {
    yield* this.#adapters
  }

  compose(host: Module, own: Forward): Forward {
    return [...this.#adapters.values()].reduce<Forward>((next, adapter) => adapter.wrap(host, next, next === own), own)
  }
}

type Hosting = Module & { adapters?: AdapterSlot; forward?: Forward }

/** The layer's own forward stays on its prototype; what is found on the object itself goes through the adapters. */
const compose = (host: Hosting): void => {
  delete host.forward
  if (host.adapters === undefined || host.adapters.size === 0) {
    delete host.adapters
    return
  }
  const own = (host as unknown as { forward: Forward }).forward.bind(host)
  // Not enumerable: fields that are parameters or children are found by enumeration.
  Object.defineProperty(host, 'forward', {
    value: host.adapters.compose(host, own),
    configurable: true,
    enumerable: false,
  })
}

export const insertAdapter = (host: Module, name: string, adapter: LayerAdapter): void => {
  const hosting = host as Hosting
  hosting.adapters ??= new AdapterSlot()
  hosting.adapters.set(name, adapter)
  if (host.training) hosting.adapters.train()
  else hosting.adapters.eval()
  compose(hosting)
}

export const removeAdapter = (host: Module, name: string): void => {
  const hosting = host as Hosting
  hosting.adapters?.delete(name)
  compose(hosting)
}
