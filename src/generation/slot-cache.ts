// The KV cache of rows with different lengths: one slot a row, in one buffer for all layers. A forward pass has some
// tokens of some rows, end to end in one packed row. Prefixes are copied between slots or out of them in one call.
// Independent of models; no gradient goes through it.
import { invariant } from '../core/index.ts'
import type { CachedKeys, LayerCache, TakenPlaces } from '../nn/index.ts'
import { arange, empty, freeTensors, keep, keepUntilFreed, noGrad, scope, Tensor, zeros } from '../tensor/index.ts'

/** The next tokens of one row in a forward pass. */
export interface Piece {
  slot: number
  ids: readonly number[]
  /** Number of the last tokens after which logits are wanted (default: 1). */
  wanted?: number
}

/** Positions in the buffer that separate operators use. */
interface Indices {
  /** Slot of each row, int64 [n]. */
  slots: Tensor
  /** Keys that each row sees, int64 [n]. */
  lengths: Tensor
  /** Positions of the new tokens, int64 [N]. */
  written: Tensor
  /** Positions of virtual tokens in front of rows that are new. */
  fronts?: Tensor
}

/** Positions of new tokens for layers that write them. */
interface TokenPlaces {
  /** Slot of each new token, and the keys before it there, int64 [N]. */
  slots: Tensor
  past: Tensor
}

/** A forward pass. */
interface Plan {
  pieces: readonly Piece[]
  /** Number of rows without any token so far. */
  fresh: number
  /** Keys and values of virtual tokens, by layer. */
  virtual: Tensor[][]
  /** Virtual tokens in front of rows that are new. */
  prepended: number
  /** Places of a pass with fixed shapes, and what its rows see in each window. */
  step?: FixedStep
  seen: Map<number, Tensor>
  /** Computed by the first layer that needs them, for all of them. */
  indices?: Indices
  places?: TokenPlaces
}

/** A pass over one token of each of n rows, with the same shapes for any lengths up to `keys`. */
export interface FixedStep {
  /** Slot of each row, position of its token in the keys of all slots, and its keys with that token: int64 [n] on the device. */
  slots: Tensor
  written: Tensor
  lengths: Tensor
  /** Keys of each row that attention reads. */
  keys: number
}

/** Where the tokens of such a pass are, on the host. */
export interface StepPlaces {
  slots: number[]
  written: number[]
  lengths: number[]
}

interface Slot {
  /** Tokens whose keys and values are cached, without virtual ones. */
  length: number
  /** Virtual tokens in front of them. */
  virtual: number
}

/** A tensor that lives until `cancel` or `commit`. */
const int64 = (values: readonly number[], device?: string): Tensor => {
  const bits = new BigInt64Array(values.length)
  for (let i = 0; i < values.length; i++) bits[i] = BigInt(values[i])
  const tensor = Tensor.from(bits, { device })
  keepUntilFreed([tensor])
  return tensor
}

/**
 * Memory for keys and values as those of `like`. Steps of fixed shapes multiply what no row sees by zero, which must be numbers
 * for that; the CPU has no such steps.
 */
const blank = (shape: readonly number[], { dtype, device }: Tensor): Tensor =>
  (device === 'cpu' ? empty : zeros)(shape, { dtype, device })

/** The part of the cache that one layer reads and writes. */
class SlotLayer implements LayerCache {
  readonly #cache: SlotCache
  readonly #index: number

  constructor(cache: SlotCache, index: number) {
    this.#cache = cache
    this.#index = index
  }

  append(key: Tensor, value: Tensor): CachedKeys {
    return this.#cache.append(this.#index, key, value)
  }

  take(): TakenPlaces | undefined {
    return this.#cache.take(this.#index)
  }

  prepend(virtual: () => { key: Tensor; value: Tensor }): void {
    this.#cache.prepend(this.#index, virtual)
  }

  source(make: () => { key: Tensor; value: Tensor }): { key: Tensor; value: Tensor } {
    return make()
  }
}

/** Caches of all layers for rows of different lengths. Call `free()` when done. */
export class SlotCache {
  readonly layers: readonly LayerCache[]
  /** [2·layers, slots, capacity, K, D]: the keys of a layer, then its values. */
  #buffer: Tensor | undefined
  /** Keys and values of each layer, [slots, capacity, K, D]. */
  #views: Tensor[] = []
  /** The same, as layers that write their tokens take them. */
  #all: NonNullable<TakenPlaces['all']> | undefined
  #slots: Slot[] = []
  #capacity: number
  #plan: Plan | undefined
  /** Number of buffers that were made or freed. */
  #buffers = 0

  /** @param capacity tokens of a row that fit before the buffer must grow */
  constructor(numLayers: number, capacity: number) {
    this.layers = Array.from({ length: numLayers }, (_, i) => new SlotLayer(this, i))
    this.#capacity = Math.max(1, capacity)
  }

  get size(): number {
    return this.#slots.length
  }

  /** Tokens of a slot that are cached. */
  length(slot: number): number {
    return this.#slots[slot].length
  }

  /** Whether there is no buffer yet, since no token was cached. */
  get isEmpty(): boolean {
    return this.#buffer === undefined
  }

  /** A number that changes with the buffer, whose memory is another one then. */
  get buffer(): number {
    return this.#buffers
  }

  /** Tokens of a row that fit. */
  get capacity(): number {
    return this.#capacity
  }

  /** Sets the number of slots; new ones are empty. @throws OutOfMemoryError where a larger buffer does not fit */
  resize(slots: number): void {
    const kept = this.#slots.slice(0, slots)
    if (this.#buffer !== undefined) this.#reallocate(slots, this.#capacity, kept.length)
    this.#slots = Array.from({ length: slots }, (_, i) => kept[i] ?? { length: 0, virtual: 0 })
  }

  /** Grows the buffer for rows of this many tokens, so that it is not copied again and again. */
  reserve(tokens: number): void {
    if (tokens <= this.#capacity) return
    if (this.#buffer === undefined) this.#capacity = tokens
    else this.#reallocate(this.#slots.length, tokens, this.#slots.length)
  }

  /** Drops the tokens of a slot after the first `length`. */
  truncate(slot: number, length: number): void {
    const row = this.#slots[slot]
    row.length = Math.min(row.length, length)
    if (row.length === 0) row.virtual = 0
  }

  /** Begins a forward pass over these tokens; `commit` or `cancel` ends it. */
  begin(pieces: readonly Piece[]): void {
    this.cancel()
    const fresh = pieces.filter(({ slot }) => this.#slots[slot].length === 0).length
    this.#plan = { pieces, fresh, virtual: [], prepended: 0, seen: new Map() }
  }

  /**
   * Begins a forward pass over one token of each of these rows, none of which is empty, and makes space for it. `fix` gives the
   * places to the layers; `commit` or `cancel` ends the pass.
   */
  beginStep(pieces: readonly Piece[]): StepPlaces {
    this.begin(pieces)
    const plan = this.#plan
    invariant(plan !== undefined && plan.fresh === 0, 'a step of fixed shapes needs rows with tokens.')
    const before = this.#makeSpace(plan, this.#views[0])
    return {
      slots: pieces.map(({ slot }) => slot),
      written: pieces.map(({ slot }, i) => slot * this.#capacity + before[i]),
      lengths: before.map((keys) => keys + 1),
    }
  }

  /** Lets the layers of the pass read and write by tensors on the device. */
  fix(step: FixedStep): void {
    const plan = this.#plan
    invariant(plan !== undefined, 'a slot cache is used between begin and commit.')
    plan.step = step
    // Masks that a recording made have no values where it failed.
    freeTensors(plan.seen.values())
    plan.seen.clear()
  }

  /** Ends a forward pass that succeeded: its tokens are cached. */
  commit(): void {
    const plan = this.#plan
    invariant(plan !== undefined, 'commit needs a forward pass that was begun.')
    for (const { slot, ids } of plan.pieces) {
      const row = this.#slots[slot]
      if (row.length === 0) row.virtual = plan.prepended
      row.length += ids.length
    }
    this.cancel()
  }

  /** Ends a forward pass that failed: the cache is as it was before. */
  cancel(): void {
    if (this.#plan === undefined) return
    const { indices, places, seen } = this.#plan
    freeTensors(seen.values())
    freeTensors(
      Object.values({ ...indices, ...(places === undefined ? {} : { each: places.slots, past: places.past }) }),
    )
    this.#plan = undefined
  }

  /** Writes the keys and values [1,N,K,D] of the pass's tokens and returns the buffers, with what each row sees of them. */
  append(layer: number, key: Tensor, value: Tensor): CachedKeys {
    const plan = this.#plan
    invariant(plan !== undefined, 'a slot cache is used between begin and commit.')
    if (plan.step !== undefined) return this.#appendStep(layer, [key, value], plan.step, plan.seen)
    return noGrad(() => {
      const heads = key.shape.slice(2)
      const added = [key, value].map((tensor) => tensor.squeeze(0))
      const virtual = plan.virtual[layer]?.map((tensor) => tensor.to(key.dtype).reshape([-1, ...heads]))
      if (virtual !== undefined) plan.prepended = virtual[0].shape[0]
      const { slots, lengths, written, fronts } = this.#indicesOf(plan, key)
      added.forEach((tensor, i) => {
        const all = this.#views[2 * layer + i].view([-1, ...heads])
        if (virtual !== undefined && fronts !== undefined)
          all.indexCopy_(
            0,
            fronts,
            virtual[i]
              .unsqueeze(0)
              .expand([plan.fresh, -1, -1, -1])
              .reshape([-1, ...heads]),
          )
        all.indexCopy_(0, written, tensor)
      })
      const [keys, values] = this.#views.slice(2 * layer, 2 * layer + 2)
      return { key: keys, value: values, rows: slots, lengths }
    })
  }

  /** The same for a pass with fixed shapes: keys of the rows side by side, whatever their lengths. */
  #appendStep(layer: number, added: readonly Tensor[], step: FixedStep, seen: Plan['seen']): CachedKeys {
    const { slots, written, lengths, keys } = step
    return noGrad(() => {
      const [key, value] = added.map((tensor, i) => {
        const view = this.#views[2 * layer + i]
        view.view([-1, ...tensor.shape.slice(2)]).indexCopy_(0, written, tensor.squeeze(0))
        return view.narrow(1, 0, keys).indexSelect(0, slots)
      })
      const seenIn = (window: number): Tensor => {
        const known = seen.get(window)
        if (known !== undefined) return known
        const places = arange(keys, { dtype: 'int64', device: lengths.device })
        const ends = lengths.unsqueeze(1)
        const all = places.lt(ends)
        const near = window > 0 ? all.logicalAnd(places.ge(ends.sub(window))) : all
        const mask = near.unsqueeze(1).unsqueeze(1)
        // For all layers of the pass; the scope of the pass frees it otherwise.
        keepUntilFreed([mask])
        seen.set(window, mask)
        return mask
      }
      return { key, value, seenIn }
    })
  }

  /** Space for the tokens of the pass; undefined before the buffer exists, and before virtual tokens. */
  take(layer: number): TakenPlaces | undefined {
    const plan = this.#plan
    invariant(plan !== undefined, 'a slot cache is used between begin and commit.')
    if (this.#buffer === undefined || plan.virtual[layer] !== undefined) return undefined
    plan.places ??= this.#placesOf(plan, this.#views[0])
    const keys = this.#views[2 * layer]
    const values = this.#views[2 * layer + 1]
    // Layers with virtual tokens do not write their tokens.
    return { keys, values, ...plan.places, all: plan.virtual.length === 0 ? this.#all : undefined }
  }

  /** Puts virtual tokens in front of the pass's rows that have no token yet; `append` writes them. */
  prepend(layer: number, virtual: () => { key: Tensor; value: Tensor }): void {
    const plan = this.#plan
    invariant(plan !== undefined, 'a slot cache is used between begin and commit.')
    if (plan.fresh === 0) return
    const { key, value } = virtual()
    plan.virtual[layer] = [key, value]
  }

  /** Copies the first `length` tokens of a slot to another one, with the virtual tokens in front of them. */
  copy(from: number, to: number, length: number): void {
    const { virtual } = this.#slots[from]
    const buffer = this.#buffer
    invariant(buffer !== undefined && this.#slots[from].length >= length, 'only cached tokens can be copied.')
    scope(() =>
      noGrad(() => {
        const part = (slot: number) => buffer.select(1, slot).narrow(1, 0, virtual + length)
        if (from !== to) part(to).copy_(part(from))
      }),
    )
    this.#slots[to] = { length, virtual }
  }

  /** A copy of the keys and values of some tokens, with the virtual tokens in front of the first one. The caller frees it. */
  read(slot: number, from: number, count: number): Tensor {
    const { length, virtual } = this.#slots[slot]
    const buffer = this.#buffer
    invariant(buffer !== undefined && from + count <= length, 'only cached tokens can be read.')
    const [start, size] = from === 0 ? [0, virtual + count] : [virtual + from, count]
    return scope(() => noGrad(() => keep(buffer.select(1, slot).narrow(1, start, size).clone())))
  }

  /** Appends `count` tokens that `read` copied; at the beginning of a slot with their virtual tokens. */
  write(slot: number, block: Tensor, count: number): void {
    const row = this.#slots[slot]
    const [, size] = block.shape
    const start = row.length === 0 ? 0 : row.virtual + row.length
    this.#allocate(block, start + size)
    // A result of the scope would live until it is collected.
    scope(() => {
      noGrad(() => this.#buffer?.select(1, slot).narrow(1, start, size).copy_(block))
    })
    if (row.length === 0) row.virtual = size - count
    row.length += count
  }

  /** Frees the buffer. */
  free(): void {
    this.cancel()
    for (const view of this.#views) view.free()
    this.#buffer?.free()
    this.#views = []
    this.#all = undefined
    this.#buffer = undefined
    this.#buffers++
    this.#slots = this.#slots.map(() => ({ length: 0, virtual: 0 }))
  }

  /** Keys in the slot of a piece before the pass. */
  #before({ prepended }: Plan, { slot }: Piece): number {
    const { length, virtual } = this.#slots[slot]
    return length === 0 ? prepended : virtual + length
  }

  /** Keys in the slot of each piece before the pass; there is space for the pass afterwards. */
  #makeSpace(plan: Plan, key: Tensor): number[] {
    const before = plan.pieces.map((piece) => this.#before(plan, piece))
    this.#allocate(key, Math.max(...plan.pieces.map(({ ids }, i) => before[i] + ids.length)))
    return before
  }

  #placesOf(plan: Plan, key: Tensor): TokenPlaces {
    const slots: number[] = []
    const past: number[] = []
    this.#makeSpace(plan, key).forEach((before, piece) => {
      const { slot, ids } = plan.pieces[piece]
      for (let i = 0; i < ids.length; i++) {
        slots.push(slot)
        past.push(before + i)
      }
    })
    return { slots: int64(slots), past: int64(past) }
  }

  #indicesOf(plan: Plan, key: Tensor): Indices {
    if (plan.indices !== undefined) return plan.indices
    const before = this.#makeSpace(plan, key)
    const written: number[] = []
    const fronts: number[] = []
    plan.pieces.forEach(({ slot, ids }, piece) => {
      const from = slot * this.#capacity
      const end = before[piece] + ids.length
      for (let i = before[piece]; i < end; i++) written.push(from + i)
      if (this.#slots[slot].length === 0) for (let i = 0; i < plan.prepended; i++) fronts.push(from + i)
    })
    plan.indices = {
      // Attention reads which keys a row has on the host, and writes are on the device of the buffer.
      slots: int64(plan.pieces.map(({ slot }) => slot)),
      lengths: int64(plan.pieces.map(({ ids }, i) => before[i] + ids.length)),
      written: int64(written, key.device),
      ...(fronts.length > 0 ? { fronts: int64(fronts, key.device) } : {}),
    }
    return plan.indices
  }

  /** Makes space for rows of `needed` tokens, with heads as those of `like` [_,_,K,D]. */
  #allocate(like: Tensor, needed: number): void {
    if (this.#buffer === undefined) {
      this.#capacity = Math.max(this.#capacity, needed)
      const [, , heads, size] = like.shape
      const shape = [2 * this.layers.length, this.#slots.length, this.#capacity, heads, size]
      this.#use(keep(blank(shape, like)))
    } else if (needed > this.#capacity)
      this.#reallocate(this.#slots.length, Math.max(needed, 2 * this.#capacity), this.#slots.length)
  }

  /** A buffer of another size, with the contents of the first slots. */
  #reallocate(slots: number, capacity: number, kept: number): void {
    const old = this.#buffer
    if (old === undefined) return
    const [layers, , before, heads, size] = old.shape
    const grown = keep(blank([layers, slots, capacity, heads, size], old))
    scope(() =>
      noGrad(() => {
        const common = (tensor: Tensor) => tensor.narrow(1, 0, kept).narrow(2, 0, Math.min(before, capacity))
        if (kept > 0) common(grown).copy_(common(old))
      }),
    )
    this.#capacity = capacity
    this.#use(grown)
    old.free()
  }

  #use(buffer: Tensor): void {
    for (const view of this.#views) view.free()
    this.#buffer = buffer
    this.#buffers++
    const views = Array.from({ length: buffer.shape[0] }, (_, i) => keep(buffer.select(0, i)))
    const every = (first: number) => this.layers.map((_, layer) => views[2 * layer + first])
    this.#views = views
    this.#all = { caches: this.layers, keys: every(0), values: every(1) }
  }
}
