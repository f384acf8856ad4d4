// Work that the processes of a group divide, and whose results all of them get in order. Independent of what is computed.
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
