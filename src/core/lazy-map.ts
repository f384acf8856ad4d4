// A map whose values are made when they are asked for, each time anew.

/** Values by key, of which none is kept. */
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
