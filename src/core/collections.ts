// Small tools for maps, lists and objects.

/** Values by key, made when they are asked for, each time anew. */
export class LazyMap<Key, Value> implements ReadonlyMap<Key, Value> {
  readonly #keys: ReadonlySet<Key>
  readonly #make: (key: Key) => Value

  constructor(keys: Iterable<Key>, make: (key: Key) => Value) {
    this.#keys = new Set(keys)
    this.#make = make
  }

  get size(): number {
    return this.#keys.size
  }

  has(key: Key): boolean {
    return this.#keys.has(key)
  }

  get(key: Key): Value | undefined {
    return this.#keys.has(key) ? this.#make(key) : undefined
  }

  keys(): MapIterator<Key> {
    return this.#keys.values()
  }

  *values(): MapIterator<Value> {
    for (const key of this.#keys) yield this.#make(key)
  }

  *entries(): MapIterator<[Key, Value]> {
    for (const key of this.#keys) yield [key, this.#make(key)]
  }

  [Symbol.iterator](): MapIterator<[Key, Value]> {
    return this.entries()
  }

  forEach(callback: (value: Value, key: Key, map: ReadonlyMap<Key, Value>) => void): void {
    for (const [key, value] of this) callback(value, key, this)
  }
}

/** Items by a key, in the order in which the keys come first. `Map.groupBy` does the same from Node 21 on. */
export const groupBy = <Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> => {
  const groups = new Map<Key, Item[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

/** The fields of an object that have a value: those that are undefined would hide defaults. */
export const withoutUndefined = <Fields extends object>(fields: Fields): Partial<Fields> =>
  // The keys are those of the argument.
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Fields>

/**
 * Compares two texts for `sort`, in the one order of texts: by their UTF-16 code units, the same for every user and machine. The order of
 * `localeCompare` depends on the language of the user.
 */
export const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
