// What a task counts of the records it has read, one after the other, so that data of any size needs no list of records.

import { invariant, type Random } from '../../core/index.ts'
import type { Place } from './row.ts'

/** Counts that every task has; each adds its own. They can be copied between threads. */
export interface RecordStatistics {
  records: number
  /** File of the first record. */
  file: string | undefined
}

/** Counts records of one kind. */
export interface StatisticsCounter<Record, Statistics extends RecordStatistics = RecordStatistics> {
  /** Statistics of no records. */
  empty(): Statistics
  add(statistics: Statistics, record: Record): void
}

/** The counter of a task that counts `add` besides the records themselves. */
export const countingRecords = <Record extends Pick<Place, 'file'>, More extends object>(
  more: () => More,
  add: (statistics: More & RecordStatistics, record: Record) => void,
): StatisticsCounter<Record, More & RecordStatistics> => ({
  empty: () => ({ records: 0, file: undefined, ...more() }),
  add(statistics, record) {
    statistics.records++
    statistics.file ??= record.file
    add(statistics, record)
  },
})

export const recordsAlone: StatisticsCounter<Pick<Place, 'file'>> = countingRecords(
  () => ({}),
  () => {},
)

/** The statistics of records. */
export const statisticsOf = <Record, Statistics extends RecordStatistics>(
  { statistics: counter }: { statistics: StatisticsCounter<Record, Statistics> },
  records: Iterable<Record>,
): Statistics => {
  const statistics = counter.empty()
  for (const record of records) counter.add(statistics, record)
  return statistics
}

type Fields = { [name: string]: unknown }

/** Adds what was counted of other records. Counts of every kind that statistics are made of: numbers, lists, and maps by value. */
const addValues = (mine: unknown, theirs: unknown): unknown => {
  if (typeof mine === 'number') return mine + (theirs as number)
  if (Array.isArray(mine)) return [...(mine as unknown[]), ...(theirs as unknown[])]
  if (!(mine instanceof Map)) return mine ?? theirs
  const sum = new Map<unknown, unknown>(mine)
  for (const [key, value] of theirs as Map<unknown, unknown>)
    sum.set(key, sum.has(key) ? addValues(sum.get(key), value) : value)
  return sum
}

const hasVariety = (statistics: object): statistics is AnswerVariety => 'varied' in statistics && 'answer' in statistics

/** The statistics of several sets of records, as if they were one set. */
export const mergeStatistics = (all: readonly RecordStatistics[]): RecordStatistics =>
  all.reduce((sum, next) => {
    // What a task counts besides is not in the type: its fields are added by their kind.
    const [mine, theirs] = [sum, next] as unknown as [Fields, Fields]
    const merged = Object.fromEntries(Object.keys(mine).map((name) => [name, addValues(mine[name], theirs[name])]))
    const varied =
      hasVariety(sum) && hasVariety(next)
        ? { varied: sum.varied || next.varied || (sum.answers > 0 && next.answers > 0 && sum.answer !== next.answer) }
        : {}
    // The same fields as before, by construction.
    return { ...merged, ...varied } as unknown as RecordStatistics
  })

export interface AnswerVariety {
  answers: number
  answer: string | undefined
  varied: boolean
}

export const noAnswers = (): AnswerVariety => ({ answers: 0, answer: undefined, varied: false })

export const addAnswer = (variety: AnswerVariety, answer: string): void => {
  if (variety.answers++ === 0) variety.answer = answer
  else if (answer !== variety.answer) variety.varied = true
}

export const addOne = <Value>(counts: Map<Value, number>, value: Value): void => {
  counts.set(value, (counts.get(value) ?? 0) + 1)
}

/** The most frequent value; of equals, the one that was counted first. */
export const mostFrequent = <Value>(counts: ReadonlyMap<Value, number>): Value => {
  invariant(counts.size > 0, 'there are values to choose from.')
  return [...counts].reduce((best, one) => (one[1] > best[1] ? one : best))[0]
}

/** An item drawn uniformly. */
export const randomItem = <Item>(items: readonly Item[], random: Random): Item => items[random.integer(items.length)]
