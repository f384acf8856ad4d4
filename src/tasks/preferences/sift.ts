// What is left out of alignment data although nothing is broken: ties, identical and empty answers, contradictions. It is counted by
// reason, and too large a share of it is an error.
import { DataError, sha256 } from '../../core/index.ts'
import { type Checked, fault } from '../records/columns.ts'
import { type RecordSettings, readSeveral, type SeveralReader } from '../records/read-records.ts'
import { type DataRow, FaultCounter, noRecords, type Skipped } from '../records/row.ts'
import type { TaskData, TaskRecord } from '../task.ts'
import type { Compared } from './read-comparisons.ts'
import { checkPrompt, drop, isEmpty, keyOf, type ScoredAnswer, type Sifted } from './texts.ts'

/** Below this number of records no share is too large. */
const fewRecords = 20

/**
 * Checks that not too many records were left out.
 * @param of records with those that were left out
 * @throws DataError that names the reasons
 */
export const expectFewSkipped = (
  skipped: { readonly [reason: string]: Skipped },
  of: number,
  maxShare: number,
  place: string,
): void => {
  const reasons = Object.entries(skipped).sort(([, a], [, b]) => b.count - a.count)
  const count = reasons.reduce((sum, [, one]) => sum + one.count, 0)
  if (of < fewRecords || count <= maxShare * of) return
  throw new DataError(
    `Expected at most ${(100 * maxShare).toFixed(1)} % of ${of} records to be left out, got ${(100 * (count / of)).toFixed(1)} % (${reasons.map(([reason, one]) => `${one.count} ${reason}`).join(', ')}; the first: ${reasons[0][1].first}). Check the data, or raise \`maxSkipped\`.`,
    place,
  )
}

/** A comparison with what it cannot be learned from removed, or the reason why nothing of it can. */
export const siftComparison = ({ prompt, answers, margin }: Compared): Sifted<Compared> => {
  const checked = checkPrompt(prompt)
  if ('fault' in checked) return checked
  const filled = answers.filter(({ completion }) => !isEmpty(completion))
  if (filled.length < 2) return drop('empty-answer', 'Expected two answers with text, got an empty one.')
  const distinct = distinctAnswers(filled)
  if (distinct.length < 2) return drop('identical-answers', 'Expected two different answers, got the same twice.')
  if (distinct.every(({ score }) => score === distinct[0].score))
    return drop('tie', `Expected answers of different scores, got ${distinct[0].score} for all.`)
  if (margin !== undefined && margin < 0)
    return fault('negative-margin', `Expected a margin of 0 or more, got ${margin}.`)
  return { value: { prompt: checked.value, answers: distinct, ...(margin === undefined ? {} : { margin }) } }
}

/** Each text once; a text with two scores is left out. */
const distinctAnswers = (answers: readonly ScoredAnswer[]): ScoredAnswer[] => {
  const byText = new Map<string, ScoredAnswer[]>()
  for (const answer of answers) {
    const key = keyOf(answer.completion)
    byText.set(key, [...(byText.get(key) ?? []), answer])
  }
  return [...byText.values()].flatMap((same) => (same.every(({ score }) => score === same[0].score) ? [same[0]] : []))
}

/** Records of a path, with what was dropped because it teaches nothing. */
interface SiftedData<Record extends TaskRecord> extends TaskData<Record> {
  dropped: FaultCounter
}

interface SiftedReader<Found, More> extends Partial<Pick<SeveralReader<Found>, 'columns' | 'part'>> {
  sifted(row: DataRow): Sifted<Found>[]
  /** Fields of all records of a row. */
  more(row: DataRow): More
}

/** Reads records, and counts those that teach nothing. @throws DataError as `readSeveral` */
export const readSifted = async <Found extends object, More extends object>(
  path: string,
  settings: RecordSettings,
  { sifted, more, ...reader }: SiftedReader<Found, More>,
  signal: AbortSignal | undefined,
): Promise<SiftedData<TaskRecord & Found & More>> => {
  const dropped = new FaultCounter('skip')
  const several = (row: DataRow): Checked<Found & More>[] => {
    const fields = more(row)
    return sifted(row).flatMap((one): Checked<Found & More>[] => {
      if ('value' in one) return [{ value: { ...one.value, ...fields } }]
      if ('fault' in one) return [one]
      dropped.fault(one.drop, row)
      return []
    })
  }
  const how = { columns: {}, optional: 'all', ...reader, dropped, several } as const
  return { ...(await readSeveral<Found & More>(path, settings, how, { signal })), dropped }
}

/** Checks that few enough records were dropped. @throws DataError that names the reasons */
export const expectFewDropped = (
  { records, dropped }: SiftedData<TaskRecord>,
  maxShare: number,
  path: string,
): void => {
  const count = Object.values(dropped.skipped).reduce((sum, one) => sum + one.count, 0)
  expectFewSkipped(dropped.skipped, records.length + count, maxShare, path)
}

/** The order of two answers to a prompt, and a key that both orders share; undefined for other records. */
const orderOf = (
  compared: Pick<Compared, 'prompt' | 'answers'> | undefined,
): { key: string; rises: boolean } | undefined => {
  if (compared?.answers.length !== 2) return undefined
  const [first, second] = compared.answers
  const [a, b] = [keyOf(first.completion), keyOf(second.completion)]
  return {
    key: sha256(JSON.stringify([keyOf(compared.prompt), ...[a, b].sort()])),
    rises: first.score < second.score === a < b,
  }
}

/**
 * Leaves out pairs of answers that other records put in the opposite order, with those records, and counts them.
 * @throws DataError where too many records were left out
 */
export const withoutContradictions = <Record extends TaskRecord>(
  data: SiftedData<Record>,
  comparedIn: (record: Record) => Pick<Compared, 'prompt' | 'answers'> | undefined,
  maxSkipped: number,
  path: string,
): TaskData<Record> => {
  const { report, dropped } = data
  const seen = new Map<string, Set<boolean>>()
  const orders = data.records.map((record) => orderOf(comparedIn(record)))
  for (const order of orders)
    if (order !== undefined) seen.set(order.key, (seen.get(order.key) ?? new Set()).add(order.rises))
  const records = data.records.filter((record, i) => {
    const order = orders[i]
    if (order === undefined || seen.get(order.key)?.size === 1) return true
    const message = 'Expected one order of two answers, got a record that has them the other way round, too.'
    dropped.fault({ reason: 'contradicting-pair', message }, record)
    return false
  })
  expectFewDropped({ ...data, records }, maxSkipped, path)
  if (records.length === 0) throw noRecords(path, dropped)
  const skipped = { ...report.skipped, ...dropped.skipped }
  return { records, report: { ...report, records: records.length, skipped } }
}
