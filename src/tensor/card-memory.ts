// What the caching allocator of CUDA takes from a card for the tensors of a plan: sizes are rounded, and lie in segments that
// it asks the driver for and keeps.
// @source PyTorch's c10/cuda/CUDACachingAllocator.cpp, with its default settings and one stream
const mib = 1 << 20
/** Sizes are multiples of this. */
const unit = 512
/** Blocks of at most this size share small segments. */
const mostSmall = mib
const smallSegment = 2 * mib
/** Blocks below this size are cut from a segment of this size. */
const leastOwn = 10 * mib
const largeSegment = 20 * mib
/** Larger ones have a segment of their own, a multiple of this. */
const segmentUnit = 2 * mib

/** A part of a segment. Its neighbours are joined to it when both are free. */
interface Block {
  size: number
  small: boolean
  before?: Block
  after?: Block
  used: boolean
  /** In the order in which they were made, as addresses are not known. */
  number: number
}

const segmentOf = (size: number): number => {
  if (size <= mostSmall) return smallSegment
  return size < leastOwn ? largeSegment : Math.ceil(size / segmentUnit) * segmentUnit
}

/** Free blocks of one kind, smallest first. */
class FreeBlocks {
  readonly #blocks: Block[] = []

  /** The place of the first block that is as large as this one, and as new if it has the same size. */
  #place({ size, number }: Pick<Block, 'size' | 'number'>): number {
    let [low, high] = [0, this.#blocks.length]
    while (low < high) {
      const middle = (low + high) >> 1
      const one = this.#blocks[middle]
      if (one.size < size || (one.size === size && one.number < number)) low = middle + 1
      else high = middle
    }
    return low
  }

  add(block: Block): void {
    this.#blocks.splice(this.#place(block), 0, block)
  }

  remove(block: Block): void {
    this.#blocks.splice(this.#place(block), 1)
  }

  /** Takes the smallest block of at least this size; undefined where there is none. */
  take(size: number): Block | undefined {
    return this.#blocks.splice(this.#place({ size, number: -1 }), 1)[0]
  }
}

/** An allocator that has no memory. */
export class CardMemory {
  readonly #free = { small: new FreeBlocks(), large: new FreeBlocks() }
  readonly #used = new Map<number, Block>()
  #made = 0
  /** Bytes of all segments, which are never given back. */
  reserved = 0

  #pool(small: boolean): FreeBlocks {
    return small ? this.#free.small : this.#free.large
  }

  /** @param key by which the block is freed */
  allocate(key: number, bytes: number): void {
    const size = Math.max(unit, Math.ceil(bytes / unit) * unit)
    const small = size <= mostSmall
    const block = this.#pool(small).take(size) ?? this.#newSegment(size, small)
    const rest = block.size - size
    // Less is left unused.
    if (rest >= (small ? unit : mostSmall + 1)) {
      const after: Block = { size: rest, small, before: block, after: block.after, used: false, number: this.#made++ }
      if (block.after !== undefined) block.after.before = after
      block.after = after
      block.size = size
      this.#pool(small).add(after)
    }
    block.used = true
    this.#used.set(key, block)
  }

  #newSegment(size: number, small: boolean): Block {
    const bytes = segmentOf(size)
    this.reserved += bytes
    return { size: bytes, small, used: false, number: this.#made++ }
  }

  free(key: number): void {
    let block = this.#used.get(key)
    if (block === undefined) return
    this.#used.delete(key)
    block.used = false
    const pool = this.#pool(block.small)
    const { before, after } = block
    if (after !== undefined && !after.used) {
      pool.remove(after)
      block.size += after.size
      block.after = after.after
      if (after.after !== undefined) after.after.before = block
    }
    if (before !== undefined && !before.used) {
      pool.remove(before)
      before.size += block.size
      before.after = block.after
      if (block.after !== undefined) block.after.before = before
      block = before
    }
    pool.add(block)
  }
}

/** What a process has on a card beside tensors: the context of CUDA, which is 0.4 to 0.6 GB with the libraries of PyTorch. */
export const cardContextBytes = 512 * mib

/**
 * Bytes of a card for these events, rows of block, bytes (negative when freed) and two numbers more: the segments of the
 * allocator, and the context.
 */
export const cardBytes = (events: Float64Array): number => {
  const memory = new CardMemory()
  for (let i = 0; i < events.length; i += 4) {
    const [block, bytes] = [events[i], events[i + 1]]
    if (bytes > 0) memory.allocate(block, bytes)
    else if (bytes < 0) memory.free(block)
  }
  return memory.reserved + cardContextBytes
}
