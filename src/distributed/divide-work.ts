// Work that the processes of a group divide, and whose results all of them get in order. Independent of what is computed.
import { OutOfMemoryError } from '../core/index.ts'
import type { ProcessGroup } from './process-group.ts'

/**
 * Computes batches by turns and yields each with its result, in their order, to all processes. The batches are those of one process,
 * so their results have its bits. A single process computes all of them.
 */
export async function* computeByTurns<Batch, Result>(
  group: ProcessGroup | undefined,
  batches: Iterable<Batch> | AsyncIterable<Batch>,
  compute: (batch: Batch) => Promise<Result> | Result,
): AsyncGenerator<[batch: Batch, result: Result], void, undefined> {
  const { rank = 0, size = 1 } = group ?? {}
  async function* results(round: readonly Batch[]): AsyncGenerator<[Batch, Result], void, undefined> {
    const own = rank < round.length ? await compute(round[rank]) : undefined
    const all = group === undefined ? [own] : await group.gather(own)
    for (const [i, batch] of round.entries()) yield [batch, all[i] as Result]
  }
  let round: Batch[] = []
  for await (const batch of batches) {
    round.push(batch)
    if (round.length < size) continue
    yield* results(round)
    round = []
  }
  if (round.length > 0) yield* results(round)
}

/** Work of the first process, whose result all get: plain data. A single process does it. */
export const onFirst = async <Result>(
  group: ProcessGroup | undefined,
  work: () => Promise<Result> | Result,
): Promise<Result> => (group === undefined ? work() : group.fromFirst(work))

/**
 * Results for all items on every process, in the order of the items, which the processes take by turns. A process may take as long as it
 * needs for its share. A single process does all of them.
 *
 * @param work gives a result for each item of a share that is not empty; `places` are their numbers among all items
 */
export const shareItems = async <Item, Result>(
  group: ProcessGroup | undefined,
  items: readonly Item[],
  work: (own: readonly Item[], places: readonly number[]) => Promise<readonly Result[]>,
): Promise<Result[]> => {
  if (group === undefined) return [...(await work(items, [...items.keys()]))]
  const { rank, size } = group
  const places = [...items.keys()].filter((i) => i % size === rank)
  const own =
    places.length === 0
      ? []
      : await work(
          places.map((i) => items[i]),
          places,
        )
  await group.assemble()
  const all = await group.gather(own)
  return items.map((_, i) => all[i % size][Math.floor(i / size)])
}

/** The process that has each item: blocks of neighbours of about equal size, in the order of the processes. */
const ownersOf = <Item>(size: number, items: readonly Item[], sizeOf: (item: Item) => number): number[] => {
  const total = items.reduce((sum, item) => sum + sizeOf(item), 0)
  let before = 0
  return items.map((item) => {
    const own = sizeOf(item)
    // The process whose share has the middle of the item.
    const middle = before + own / 2
    before += own
    return Math.min(size - 1, Math.floor((size * middle) / Math.max(1, total)))
  })
}

/** How items are divided in blocks. */
export interface BlockWork<Item, Result> {
  /** Size of an item, by which the work is divided. */
  sizeOf(item: Item): number
  /** Gives a result for each item of a block that is not empty. */
  work(own: readonly Item[]): Promise<readonly Result[]>
  /** What stands for the result of another process in a plan, where there is none. */
  standIn(item: Item): Result
}

/**
 * Results for all items on every process, in the order of the items, of which each process does a block: neighbours stay together. Where
 * one runs out of memory, all throw the same OutOfMemoryError, so that they go on alike.
 */
export const shareBlocks = async <Item, Result>(
  group: ProcessGroup,
  items: readonly Item[],
  { sizeOf, work, standIn }: BlockWork<Item, Result>,
): Promise<Result[]> => {
  const owners = ownersOf(group.size, items, sizeOf)
  const block = items.filter((_, i) => owners[i] === group.rank)
  let own: { results: readonly Result[] } | { outOfMemory: string }
  try {
    own = { results: block.length === 0 ? [] : await work(block) }
  } catch (error) {
    if (!(error instanceof OutOfMemoryError)) throw error
    own = { outOfMemory: error.message }
  }
  await group.assemble()
  const all = (await group.gather(own)).map((one) => {
    if ('outOfMemory' in one) throw new OutOfMemoryError(one.outOfMemory)
    return one.results
  })
  const first = all.map((_, rank) => owners.indexOf(rank))
  return items.map((item, i) =>
    group.planned && owners[i] !== group.rank ? standIn(item) : all[owners[i]][i - first[owners[i]]],
  )
}
