// A process of a group that exists in a plan only: collectives have the shapes and the memory that they would have, and tell the plan
// what is sent. The other processes are taken to be as this one is. Independent of training, and of networks.
import { serialize } from 'node:v8'
import { ConfigError } from '../core/index.ts'
import { bytesOf, empty, freeTensors, keepUntilFreed, noteMark, noteTensors, type Tensor } from '../tensor/index.ts'
import { exchangeSettings, GroupError, messageRoom, ProcessGroup } from './process-group.ts'

/** Kinds of collectives: sums on every process or in parts, parts collected on every process, copies, and short messages. */
export type CollectiveKind = 'sum' | 'sum of parts' | 'gather' | 'copy' | 'message'

/** What does the collectives of a planned group. Gloo sums parts as a whole, and makes copies of what it sums and collects. */
export type CollectiveLibrary = 'gloo' | 'nccl'

/** What a planned group notes in a plan: a collective that begins, or the wait for it. */
export type CollectiveMark =
  | {
      type: 'begin'
      number: number
      kind: CollectiveKind
      /** Bytes of the whole tensor, which each process has before or after it. */
      bytes: number
    }
  | { type: 'wait'; number: number }

/** A collective that is on its way. */
interface Flight {
  number: number
  /** Memory of the library until it is waited for. */
  copies: Tensor[]
  /** Bytes that the library's thread needs while it works on this one. */
  scratch: number
}

/** Settings of a planned group. */
export interface PlannedGroupSettings {
  rank: number
  size: number
  library: CollectiveLibrary
}

export class PlannedGroup extends ProcessGroup {
  readonly library: CollectiveLibrary
  override readonly planned = true
  readonly #flights = new Map<Tensor, Flight>()
  #count = 0
  /** Memory of Gloo's thread, which works on one collective after the other: for the largest of those on their way. */
  #scratch: Tensor | undefined

  /** @throws ConfigError for a rank that the group has not */
  constructor({ rank, size, library }: PlannedGroupSettings, env: NodeJS.ProcessEnv = process.env) {
    if (rank >= size)
      throw new ConfigError(`Expected less than \`count\` for \`rank\`, which begins with 0, got ${rank} of ${size}.`)
    const members = Array.from({ length: size }, (_, i) => `Rank ${i}`)
    super({ rank, size, members, ...exchangeSettings(env) })
    this.library = library
  }

  async gather<Value>(value: Value): Promise<Value[]> {
    const length = messageRoom.header + serialize(value).length
    for (const room of length > messageRoom.short ? [messageRoom.short, length] : [messageRoom.short]) {
      const sent = empty([room], { dtype: 'uint8' })
      const all = this.#begin('message', empty([this.size * room], { dtype: 'uint8' }))
      freeTensors([this.arrivedNow(all), all, sent])
    }
    return new Array<Value>(this.size).fill(value)
  }

  beginSum_(tensor: Tensor): Tensor {
    return this.#begin('sum', tensor)
  }

  beginSumParts(tensor: Tensor): Tensor {
    const { dtype, size, bytes } = { dtype: tensor.dtype, size: tensor.size / this.size, bytes: bytesOf(tensor) }
    const part = empty([size], { dtype })
    const copies = this.library === 'gloo' ? [empty([tensor.size], { dtype })] : []
    return this.#begin('sum of parts', part, { bytes, copies })
  }

  beginCollect(tensor: Tensor): Tensor {
    return this.#begin('gather', empty([this.size * tensor.size], { dtype: tensor.dtype }))
  }

  #begin(
    kind: CollectiveKind,
    begun: Tensor,
    { bytes = bytesOf(begun), copies = [] }: { bytes?: number; copies?: Tensor[] } = {},
  ): Tensor {
    keepUntilFreed(copies)
    const collects = kind === 'gather' || kind === 'message'
    const scratch = collects && this.library === 'gloo' ? bytes : 0
    this.#flights.set(begun, { number: this.#count, copies, scratch })
    this.#setScratch()
    noteTensors('copies of Gloo', copies)
    noteMark({ type: 'begin', number: this.#count++, kind, bytes } satisfies CollectiveMark)
    return begun
  }

  async arrived(begun: Tensor): Promise<Tensor> {
    return this.arrivedNow(begun)
  }

  arrivedNow(begun: Tensor): Tensor {
    const flight = this.#flights.get(begun)
    if (flight !== undefined) {
      this.#flights.delete(begun)
      freeTensors(flight.copies)
      this.#setScratch()
      noteMark({ type: 'wait', number: flight.number } satisfies CollectiveMark)
    }
    return begun.detach()
  }

  #setScratch(): void {
    const most = Math.max(0, ...[...this.#flights.values()].map(({ scratch }) => scratch))
    if (most === (this.#scratch?.size ?? 0)) return
    freeTensors(this.#scratch === undefined ? [] : [this.#scratch])
    this.#scratch = most === 0 ? undefined : empty([most], { dtype: 'uint8' })
    if (this.#scratch === undefined) return
    keepUntilFreed([this.#scratch])
    noteTensors('copies of Gloo', [this.#scratch])
  }

  async sum_(tensors: Iterable<Tensor>): Promise<void> {
    const begun = [...tensors].map((tensor) => this.beginSum_(tensor))
    freeTensors(begun.map((tensor) => this.arrivedNow(tensor)))
  }

  async collect(tensor: Tensor): Promise<Tensor> {
    const begun = this.beginCollect(tensor)
    const all = this.arrivedNow(begun)
    begun.free()
    return all
  }

  async copyFrom_(_source: number, tensor: Tensor): Promise<void> {
    freeTensors([this.arrivedNow(this.#begin('copy', tensor))])
  }

  async fromFirst<Result>(work: () => Promise<Result> | Result): Promise<Result> {
    const result = await work()
    await this.gather(0)
    return result
  }

  async assemble(): Promise<void> {
    await this.gather(0)
  }

  async named({ message }: Error): Promise<GroupError> {
    return new GroupError(message)
  }

  // There is nobody to tell, and nothing to leave.
  abort(): void {}

  async leave(): Promise<void> {}
}
