// A group of running processes: their collectives over Gloo, their messages, and how they end together. Independent of training.
import { setTimeout } from 'node:timers/promises'
import { deserialize, serialize } from 'node:v8'
import {
  allGather,
  allReduce_,
  broadcast_,
  dropGroup,
  type ProcessStore,
  reduceScatter,
  stopWatch,
  Tensor,
  waitTensor,
  watchFailure,
} from '../tensor/index.ts'
import { GroupError, type GroupFacts, messageRoom, ProcessGroup } from './process-group.ts'

/** Facts of the connections of a process. */
export interface ConnectionFacts extends GroupFacts {
  name: string
  /** Whether this process serves the store, and so leaves last. */
  servesStore: boolean
  /** Time after which silence counts as the end of a process, once a collective has failed. */
  urgentMs: number
}

/** How far a process was in the collectives when one of them did not end. */
interface Progress {
  /** Number of collectives that it has begun. */
  begun: number
  /** The last of them. */
  last: string
}

/** Time in which all processes that wait for a collective notice that it does not end. */
const progressMs = 5000

/** Time in which a failure can be told to the others. */
const abortMs = 2000

/** Waits for a new tensor that is on its way. The handle that was begun is freed, not left to the garbage collector with its memory. */
const waited = (begun: Tensor): Tensor => {
  const arrived = waitTensor(begun)
  begun.free()
  return arrived
}

/** The processes of a run that run. */
export class ConnectedGroup extends ProcessGroup {
  readonly #facts: ConnectionFacts
  readonly #get: (key: string) => string | undefined
  readonly #set: (key: string, value: string) => void
  readonly #delete: (key: string) => void
  readonly #connectAgain: () => Pick<ProcessStore, 'get' | 'set' | 'close'>
  readonly #abortKey: string
  #values = 0
  #left = false
  #begun = 0
  #last = 'none'

  constructor(facts: ConnectionFacts, store: ProcessStore, prefix: string) {
    super(facts)
    this.#facts = facts
    this.#get = (key) => store.get(`${prefix}${key}`)
    this.#set = (key, value) => store.set(`${prefix}${key}`, value)
    this.#delete = (key) => store.delete(`${prefix}${key}`)
    this.#connectAgain = () => store.again(abortMs)
    this.#abortKey = `${prefix}abort`
  }

  async gather<Value>(value: Value): Promise<Value[]> {
    const own = new Uint8Array(serialize(value))
    const first = await this.#gatherBytes(own, messageRoom.short)
    const longest = messageRoom.header + Math.max(...first.map(({ length }) => length))
    const all = longest <= messageRoom.short ? first : await this.#gatherBytes(own, longest)
    return all.map(({ bytes }) => deserialize(bytes) as Value)
  }

  /** Messages of at most `room` bytes, with their lengths in front; of longer ones the length alone. */
  async #gatherBytes(own: Uint8Array, room: number): Promise<{ length: number; bytes: Uint8Array }[]> {
    const message = new Uint8Array(room)
    new DataView(message.buffer).setUint32(0, own.length)
    message.set(own.subarray(0, room - messageRoom.header), messageRoom.header)
    const sent = Tensor.from(message, { shape: [room] })
    const received = await this.#collective(() => waited(this.#begin('message', sent, this.#gatherInto)))
    const all = received.toTypedArray() as Uint8Array
    sent.free()
    received.free()
    return Array.from({ length: this.size }, (_, rank) => {
      const part = all.subarray(rank * room, (rank + 1) * room)
      const length = new DataView(part.buffer, part.byteOffset).getUint32(0)
      return { length, bytes: part.subarray(messageRoom.header, messageRoom.header + length) }
    })
  }

  /** Begins a collective, and notes it for the error of one that does not end. */
  #begin(what: string, tensor: Tensor, begin: (tensor: Tensor) => Tensor): Tensor {
    this.#begun++
    this.#last = `${what} of ${tensor.size} elements`
    return begin(tensor)
  }

  readonly #gatherInto = (tensor: Tensor): Tensor => allGather(tensor, this.size, this.#facts.name)

  beginSum_(tensor: Tensor): Tensor {
    return this.#begin('sum', tensor, (own) => allReduce_(own, 'sum', this.#facts.name))
  }

  beginSumParts(tensor: Tensor): Tensor {
    return this.#begin('sum of parts', tensor, (own) => reduceScatter(own, 'sum', this.size, this.#facts.name))
  }

  beginCollect(tensor: Tensor): Tensor {
    return this.#begin('gather', tensor, this.#gatherInto)
  }

  arrived(begun: Tensor): Promise<Tensor> {
    return this.#collective(() => waitTensor(begun))
  }

  arrivedNow(begun: Tensor): Tensor {
    try {
      return waitTensor(begun)
    } catch (error) {
      throw new GroupError((error as Error).message)
    }
  }

  async sum_(tensors: Iterable<Tensor>): Promise<void> {
    await this.#collective(() => {
      const begun = [...tensors].map((tensor) => this.beginSum_(tensor))
      for (const tensor of begun) waitTensor(tensor).free()
    })
  }

  collect(tensor: Tensor): Promise<Tensor> {
    return this.#collective(() => waited(this.beginCollect(tensor)))
  }

  async copyFrom_(source: number, tensor: Tensor): Promise<void> {
    const begin = (own: Tensor) => broadcast_(own, source, this.#facts.name)
    await this.#collective(() => waitTensor(this.#begin('copy', tensor, begin)).free())
  }

  async fromFirst<Result>(work: () => Promise<Result> | Result): Promise<Result> {
    const key = `value/${this.#values++}`
    if (this.first) {
      const result = await work()
      this.#set(key, serialize(result).toString('base64'))
      await this.gather(0)
      this.#delete(key)
      return result
    }
    const text = await this.#waitFor(key)
    await this.gather(0)
    return deserialize(Buffer.from(text, 'base64')) as Result
  }

  async assemble(): Promise<void> {
    const number = this.#values++
    const keyOf = (rank: number) => `here/${number}/${rank}`
    this.#set(keyOf(this.rank), 'here')
    for (let rank = 0; rank < this.size; rank++) await this.#waitFor(keyOf(rank))
    await this.gather(0)
    this.#delete(keyOf(this.rank))
  }

  async #waitFor(key: string): Promise<string> {
    for (let pause = 5; ; pause = Math.min(100, pause * 1.5)) {
      this.#expectAll()
      const value = this.#get(key)
      if (value !== undefined) return value
      await setTimeout(pause)
    }
  }

  #expectAll(): void {
    const failure = watchFailure(false)
    if (failure !== undefined) throw new GroupError(failure)
  }

  /** @throws GroupError that names the process which ended a collective */
  async #collective<Result>(work: () => Result): Promise<Result> {
    this.#expectAll()
    try {
      return work()
    } catch (error) {
      throw await this.named(error as Error)
    }
  }

  async named({ message }: Error): Promise<GroupError> {
    // The watch knows more than a broken connection does, but it needs a moment.
    for (const until = Date.now() + this.#facts.urgentMs + 2000; Date.now() < until; await setTimeout(50)) {
      const failure = watchFailure(true)
      if (failure !== undefined) return new GroupError(failure)
    }
    const missing = await this.#missing()
    return new GroupError(
      missing.length > 0
        ? `A collective did not end: ${message.replace(/\.?$/, '.')} ${missing.join(' ')}`
        : `The processes of the group lost each other: ${message} Each is alive: check the network between them.`,
    )
  }

  /** Processes that are not in the collective that this one waits for, in sentences. All that wait for it tell each other. */
  async #missing(): Promise<string[]> {
    const keyOf = (rank: number) => `progress/${rank}`
    const own: Progress = { begun: this.#begun, last: this.#last }
    this.#set(keyOf(this.rank), JSON.stringify(own))
    await setTimeout(progressMs)
    const others = this.members.map((_, rank) => this.#get(keyOf(rank)))
    const sentences = others.flatMap((text, rank) => {
      if (text === undefined)
        return [`${this.members[rank]} does not wait for one: it computes, or it hangs in this one.`]
      const { begun, last } = JSON.parse(text) as Progress
      if (begun === own.begun && last === own.last) return []
      return [`${this.members[rank]} has begun ${begun}, the last a ${last}.`]
    })
    return sentences.length === 0 ? [] : [`This process has begun ${own.begun}, the last a ${own.last}.`, ...sentences]
  }

  abort(error: Error): void {
    const [line] = error.message.split('\n')
    try {
      // A connection of its own, as only connecting has a deadline: where the network is gone, the first one never answers.
      const store = this.#connectAgain()
      if (!store.get(this.#abortKey))
        store.set(this.#abortKey, error instanceof GroupError ? line : `${this.members[this.rank]} failed: ${line}`)
      store.close()
    } catch {
      // Without the store the others notice by their own watch.
    }
  }

  async leave({ failed }: { failed: boolean }): Promise<void> {
    if (this.#left) return
    this.#left = true
    const isLost = watchFailure(false) !== undefined
    // The watch ends here after an error too: this process says that it leaves, so that its silence names nobody.
    stopWatch()
    if (!failed && this.#facts.servesStore) await this.#waitForOthers()
    // What is on its way to a process that is gone may never end, and dropping a group waits for it.
    if (!isLost) dropGroup(this.#facts.name)
  }

  async #waitForOthers(): Promise<void> {
    const beats = Array.from({ length: this.size }, (_, rank) => `beat/${rank}`)
    for (const until = Date.now() + 10_000; Date.now() < until; await setTimeout(20))
      if (beats.every((key) => this.#get(key) === 'left')) return
  }
}
