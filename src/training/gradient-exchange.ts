// Exchanges the gradients of processes bucket by bucket, in an order in which a backward pass completes them: a bucket is on its way while
// the pass still computes the gradients of earlier layers. Independent of the loop and of who started the processes.
import type { ProcessGroup } from '../distributed/index.ts'
import { type GradientBucket, gradientBuckets, type ShardedOptimizer } from '../optim/index.ts'
import {
  cat,
  freeTensors,
  keepUntilFreed,
  noGrad,
  noGradScope,
  noteTensors,
  scope,
  type Tensor,
  watchGradients,
  zeros,
} from '../tensor/index.ts'
import type { GradientSink, GradientSource } from './gradients.ts'

/** A bucket on its way. */
interface Sent {
  bucket: number
  flat: Tensor
  /** The sum over the processes, once it has arrived: the flat tensor itself, or the part of this process. */
  begun: Tensor
}

/** Gradients of the whole batch, or of a part of the parameters. */
export interface ExchangedGradients {
  gradients: Map<string, Tensor>
  /** Where this process has a part of the gradients only: their global norm, and every parameter that has one. */
  shared?: { gradientNorm: number; present: ReadonlySet<string> }
  release(): void
}

/** Buckets on their way at once where gradients are sharded: more of them would be a second copy of all gradients. */
const mostOnTheirWay = 2

export interface ExchangeOptions {
  /** Exchanges the gradients of every micro-batch, so that none are kept between two of them but the own part. */
  everyMicroBatch: boolean
  /** The optimizer of which each process has a part; without one all gradients come to every process. */
  sharded?: ShardedOptimizer | undefined
  /** Sends buckets only when `complete` says so, at places that are the same on every process (default: false). */
  toldWhenComplete?: boolean
}

/** Sums gradients over a group of processes. */
export class GradientExchange implements GradientSink {
  readonly everyMicroBatch: boolean
  readonly #group: ProcessGroup
  readonly #parameters: ReadonlyMap<string, Tensor>
  readonly #paths: readonly string[]
  readonly #sharded: ShardedOptimizer | undefined
  readonly #buckets: readonly GradientBucket[]
  /** Bucket of each parameter. */
  readonly #bucketOf: readonly number[]
  /** Where a parameter, or the piece of it that this process has, is in the sum of its bucket. */
  readonly #places: ReadonlyMap<string, { bucket: number; at: number; size: number; from: number }>
  readonly #stopWatching: () => void
  #source: GradientSource | undefined
  /** Accumulations into each gradient in the backward pass before; undefined before the first one, which sends nothing early. */
  #expected: number[] | undefined
  #seen: number[] = []
  /** Parameters of each bucket whose gradients are not complete. */
  #open: number[] = []
  #early = false
  readonly #isTold: boolean
  /** Buckets that `complete` named in this micro-batch. */
  readonly #complete = new Set<number>()
  /** Buckets that were sent, in their order, and how many of them before the gradients were computed again. */
  #next = 0
  #repeated = 0
  #sent: Sent[] = []
  /** The sums of each bucket that have arrived. */
  #arrived: (Tensor | undefined)[] = []
  /** Parameters with a gradient in this step, and those with a part of it that came after their bucket was sent. */
  readonly #present = new Set<string>()
  readonly #late = new Set<string>()

  constructor(group: ProcessGroup, parameters: ReadonlyMap<string, Tensor>, options: ExchangeOptions) {
    this.everyMicroBatch = options.everyMicroBatch
    this.#isTold = options.toldWhenComplete ?? false
    this.#group = group
    this.#parameters = parameters
    this.#paths = [...parameters.keys()]
    this.#sharded = options.sharded
    this.#buckets = this.#sharded?.layout.buckets ?? gradientBuckets(parameters, group.bucketBytes)
    const bucketOf = new Map(this.#buckets.flatMap(({ parts }, i) => parts.map(({ path }) => [path, i] as const)))
    this.#bucketOf = this.#paths.map((path) => bucketOf.get(path) as number)
    const places = this.#sharded?.pieces.map((piece) => {
      const bucket = bucketOf.get(piece.path) as number
      return { ...piece, bucket, at: piece.at - (this.#sharded?.layout.partStart(bucket) ?? 0) }
    })
    const whole = () =>
      this.#buckets.flatMap(({ parts }, bucket) => parts.map((part) => ({ ...part, bucket, from: 0 })))
    this.#places = new Map((places ?? whole()).map((place) => [place.path, place]))
    this.#stopWatching = watchGradients([...parameters.values()], (index) => this.#accumulated(index))
  }

  /** Begins a step. */
  begin(): void {
    this.#free()
    this.#next = 0
    this.#present.clear()
    this.#late.clear()
  }

  /** Gradients are computed, perhaps again after memory ran out: what was sent before is complete. */
  beginPass(source: GradientSource): void {
    this.#source = source
    this.#repeated = this.#next
  }

  openMicroBatch(isLast: boolean): void {
    if (this.everyMicroBatch) this.#next = 0
    this.#complete.clear()
    const knows = this.#expected !== undefined && this.#group.overlaps
    this.#early = this.#isTold || (knows && (isLast || this.everyMicroBatch))
    this.#seen = this.#paths.map(() => 0)
    this.#open = this.#buckets.map(() => 0)
    for (const [i, expected] of this.#expected?.entries() ?? []) if (expected > 0) this.#open[this.#bucketOf[i]]++
  }

  async closeMicroBatch(): Promise<void> {
    this.#early = false
    this.#expected = this.#seen
    if (this.everyMicroBatch) await this.#completeRound()
  }

  /** The gradients of some buckets are complete: they are sent, once those before them are. */
  complete(buckets: readonly number[]): void {
    for (const bucket of buckets) this.#complete.add(bucket)
    let end = this.#next
    while (this.#complete.has(end)) end++
    this.#sendUpTo(end)
  }

  async endPass(rounds: number, own: number): Promise<void> {
    if (!this.everyMicroBatch) {
      this.#sendUpTo(this.#buckets.length)
      return
    }
    // Processes with fewer micro-batches add nothing to the last ones.
    for (let round = own; round < rounds; round++) {
      this.#next = 0
      await this.#completeRound()
    }
  }

  /** Numbers of the parameters without a gradient, and of those with a late part of one. */
  report(): { missing: number[]; late: number[] } {
    const which = (is: (path: string) => boolean) => this.#paths.flatMap((path, i) => (is(path) ? [i] : []))
    return {
      missing: which((path) => !this.#present.has(path)),
      late: which((path) => this.#late.has(path)),
    }
  }

  /** The sums, once every process has sent its gradients. `late` are the parameters that any of them reported as such. */
  async collect(missing: readonly ReadonlySet<number>[], late: readonly number[]): Promise<ExchangedGradients> {
    for (const one of this.#sent.splice(0)) this.#add(one, await this.#group.arrived(one.begun))
    const present = new Set(this.#paths.filter((_, i) => missing.some((one) => !one.has(i))))
    await this.#addLate(late.map((i) => this.#paths[i]))
    const views = noGradScope(() => this.#views(present))
    const sums = this.#arrived.filter((one) => one !== undefined)
    this.#arrived = []
    const release = () => freeTensors([...views.values(), ...sums])
    // In the order of the parameters, in which norms are computed.
    const gradients = new Map(
      this.#paths.flatMap((path) => {
        const view = views.get(path)
        return view === undefined ? [] : [[path, view] as const]
      }),
    )
    if (this.#sharded === undefined) return { gradients, release }
    const own = scope(() => sums.reduce((sum, one) => sum + one.norm().item() ** 2, 0))
    const squares = await this.#group.gather(own)
    const gradientNorm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0))
    return { gradients, shared: { gradientNorm, present }, release }
  }

  /** Ends the watch over the gradients. */
  close(): void {
    this.#stopWatching()
    this.#free()
  }

  #free(): void {
    freeTensors([
      ...this.#sent.flatMap(({ flat, begun }) => [flat, begun]),
      ...this.#arrived.flatMap((one) => one ?? []),
    ])
    this.#sent = []
    this.#arrived = []
  }

  /** A backward pass has added to the gradient of a parameter. */
  #accumulated(index: number): void {
    const seen = ++this.#seen[index]
    if (!this.#early) return
    const bucket = this.#bucketOf[index]
    if (bucket < this.#repeated) return
    if (bucket < this.#next) {
      this.#late.add(this.#paths[index])
      this.#present.add(this.#paths[index])
    } else if (!this.#isTold && seen === this.#expected?.[index] && --this.#open[bucket] === 0) {
      let end = this.#next
      while (end < this.#buckets.length && this.#open[end] === 0) end++
      this.#sendUpTo(end)
    }
  }

  /** Sends buckets in their order, which is the same on every process. */
  #sendUpTo(end: number): void {
    for (; this.#next < end; this.#next++) {
      const flat = this.#fill(this.#buckets[this.#next])
      const begun = this.#sharded === undefined ? this.#group.beginSum_(flat) : this.#group.beginSumParts(flat)
      keepUntilFreed([begun])
      noteTensors('gradients', [flat, begun])
      this.#sent.push({ bucket: this.#next, flat, begun })
      const most = this.#group.overlaps ? mostOnTheirWay : 0
      while (this.everyMicroBatch && this.#sent.length > most) {
        const first = this.#sent.shift() as Sent
        this.#add(first, this.#group.arrivedNow(first.begun))
      }
    }
  }

  async #completeRound(): Promise<void> {
    this.#sendUpTo(this.#buckets.length)
    for (const one of this.#sent.splice(0)) this.#add(one, await this.#group.arrived(one.begun))
  }

  /** The gradients of a bucket as one float32 vector, with zeros where this process has none. Their own memory is freed. */
  #fill({ parts, size }: GradientBucket): Tensor {
    const source = this.#source as GradientSource
    const total = this.#sharded === undefined ? size : this.#sharded.layout.paddedSize(size)
    return noGradScope(() => {
      const pieces = parts.map(({ path, size: length }) => {
        const gradient = source.take(path)
        this.#late.delete(path)
        if (gradient !== undefined) this.#present.add(path)
        return gradient?.to('float32').reshape([-1]) ?? zeros([length])
      })
      const flat = cat([...pieces, ...(total > size ? [zeros([total - size])] : [])], 0)
      keepUntilFreed([flat])
      source.drop(parts.map(({ path }) => path))
      return flat
    })
  }

  #add({ bucket, flat, begun }: Sent, sum: Tensor): void {
    const before = this.#arrived[bucket]
    noGrad(() => before?.add_(begun))
    this.#arrived[bucket] = before ?? begun
    // `sum` is another handle of what was begun, which is the flat tensor itself where it is summed in place.
    freeTensors([flat, begun, sum].filter((one) => one !== this.#arrived[bucket]))
  }

  /** Adds the parts of gradients that came after their bucket was sent: a parameter was used more often than before. */
  async #addLate(paths: readonly string[]): Promise<void> {
    if (paths.length === 0) return
    const source = this.#source as GradientSource
    for (const path of paths) {
      const { size } = this.#parameters.get(path) as Tensor
      const flat = noGradScope(() => {
        const own = this.#late.has(path)
          ? source.take(path)?.to({ dtype: 'float32', copy: true }).reshape([-1])
          : undefined
        const kept = own ?? zeros([size])
        keepUntilFreed([kept])
        return kept
      })
      await this.#group.sum_([flat])
      noGradScope(() => {
        const own = this.#sumOf(path)
        own?.sum.add_(flat.narrow(0, own.from, own.sum.size))
      })
      flat.free()
    }
    source.drop(paths)
  }

  /** The sum of a parameter, flat, and the first element of it that this process has; undefined where it has none. */
  #sumOf(path: string): { sum: Tensor; from: number } | undefined {
    const place = this.#places.get(path)
    if (place === undefined) return undefined
    const bucket = this.#arrived[place.bucket] as Tensor
    return { sum: bucket.narrow(0, place.at, place.size), from: place.from }
  }

  #views(present: ReadonlySet<string>): Map<string, Tensor> {
    const views = new Map<string, Tensor>()
    for (const path of present) {
      const view = this.#sumOf(path)?.sum
      if (view === undefined) continue
      const shaped = this.#sharded === undefined ? view.view((this.#parameters.get(path) as Tensor).shape) : view
      keepUntilFreed([shaped])
      views.set(path, shaped)
    }
    return views
  }
}
