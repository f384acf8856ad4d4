// What a task counts of the records it has read, one after the other, so that data of any size needs no list of records.
import type { Place } from './read-report.ts'

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

/** Counts records and nothing else. */
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

/** Whether answers differ. */
export interface AnswerVariety {
  answers: number
  /** The first answer. */
  answer: string | undefined
  varied: boolean
}

export const noAnswers = (): AnswerVariety => ({ answers: 0, answer: undefined, varied: false })

export const addAnswer = (variety: AnswerVariety, answer: string): void => {
  if (variety.answers++ === 0) variety.answer = answer
  else if (answer !== variety.answer) variety.varied = true
}

/** Adds one to the count of a value. */
export const addOne = <Value>(counts: Map<Value, number>, value: Value): void => {
  counts.set(value, (counts.get(value) ?? 0) + 1)
}
