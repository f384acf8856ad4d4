// Reads compared answers: as records with all answers to a prompt, or as pairs of a better and a worse one.

import { fault, setColumns } from '../records/columns.ts'
import { type RecordSettings, readSeveral } from '../records/read-records.ts'
import { FaultCounter, noRecords } from '../records/read-report.ts'
import type { DataRow } from '../records/row.ts'
import type { ReadOptions, TaskData, TaskRecord } from '../task.ts'
import {
  type Compared,
  type ComparisonColumns,
  type ComparisonFormName,
  comparisonFormOf,
  comparisonForms,
} from './comparison-forms.ts'
import type { ComparisonRecord, MoreFields, PreferenceRecord } from './records.ts'
import { expectFewSkipped, settle, siftComparison, withoutContradictions } from './sift.ts'
import { keyOf, otherFields, type Sifted } from './texts.ts'

/** Settings of `readComparisons`. */
export interface ComparisonSettings extends RecordSettings, ComparisonColumns {
  /** The form of the rows (default: by their columns). */
  form: 'auto' | ComparisonFormName
  maxSkipped: number
}

/** Settings of `readPreferences`. */
export interface PreferenceSettings extends ComparisonSettings {
  /** Pairs of a list of answers: each two of different scores, or the best with the worst. */
  pairs: 'all' | 'best-and-worst'
}

const columnsOf = (settings: ComparisonColumns): string[] => {
  const { prompt, messages, answers, chosen, rejected, margin, scores, ranks, tree } = settings
  return [...prompt, ...messages, ...answers, chosen, rejected, margin, scores, ranks, tree, 'system']
}

/** The comparisons of a row, before they are sifted. */
export const comparisonsIn = (row: DataRow, settings: ComparisonSettings): Sifted<Compared>[] => {
  const form = settings.form === 'auto' ? comparisonFormOf(row.values, settings) : settings.form
  if (form !== undefined) return comparisonForms[form].comparisons(row, settings)
  const { prompt, chosen, rejected, answers, tree } = settings
  return [
    fault(
      'no-comparison',
      `Expected columns ${chosen} and ${rejected}, ${prompt[0]} with ${answers.join(' or ')}, or a message tree in ${tree}, got ${Object.keys(row.values).slice(0, 20).join(', ')}. ${setColumns('columns', ['chosen', 'rejected'])}`,
    ),
  ]
}

/**
 * Answers to prompts that were compared, in any usual form: pairs of texts or messages, whole dialogues, lists with scores or ranks,
 * and message trees. The report counts what was left out, by reason.
 * @throws DataError with file and line for broken records unless `onFault` is skip, and where `maxSkipped` is exceeded
 */
export const readComparisons = async (
  path: string,
  settings: ComparisonSettings,
  { signal }: Pick<ReadOptions, 'signal'> = {},
): Promise<TaskData<ComparisonRecord>> => {
  const dropped = new FaultCounter('skip')
  const known = new Set(columnsOf(settings))
  const { records, report } = await readSeveral<Omit<ComparisonRecord, keyof TaskRecord>>(
    path,
    settings,
    {
      columns: {},
      optional: 'all',
      part: 'columns',
      dropped,
      several: (row) => {
        const fields = otherFields(row.values, known)
        return comparisonsIn(row, settings)
          .map((one) => ('value' in one ? siftComparison(one.value) : one))
          .flatMap((one) => settle(one, dropped, row))
          .map((one) => ('fault' in one ? one : { value: { ...one.value, fields } }))
      },
    },
    { signal },
  )
  const consistent = withoutContradictions(records, dropped, (record) => record)
  const count = Object.values(dropped.skipped).reduce((sum, one) => sum + one.count, 0)
  expectFewSkipped(dropped.skipped, consistent.length + count, settings.maxSkipped, path)
  if (consistent.length === 0) throw noRecords(path, dropped)
  return {
    records: consistent,
    report: { ...report, records: consistent.length, skipped: { ...report.skipped, ...dropped.skipped } },
  }
}

/** The pairs of a comparison, the better answer first. */
export const pairsOf = (
  { answers, margin, prompt, fields, id, file, line }: ComparisonRecord,
  which: PreferenceSettings['pairs'] = 'all',
): PreferenceRecord[] => {
  const rest: TaskRecord & MoreFields = { id, file, line, fields }
  const sorted = [...answers].sort((a, b) => b.score - a.score)
  const two =
    which === 'all'
      ? sorted.flatMap((better, i) => sorted.slice(i + 1).map((worse) => ({ better, worse })))
      : [{ better: sorted[0], worse: sorted[sorted.length - 1] }]
  const ordered = two.filter(({ better, worse }) => better.score > worse.score)
  return ordered.map(({ better, worse }, i) => ({
    ...rest,
    ...(ordered.length === 1 ? { id } : { id: `${id}.${i}`, group: keyOf(prompt) }),
    prompt,
    chosen: better.completion,
    rejected: worse.completion,
    ...(margin === undefined ? {} : { margin }),
  }))
}

/** Pairs of a better and a worse answer to a prompt, from every form that `readComparisons` reads. @throws DataError as it does */
export const readPreferences = async (
  path: string,
  settings: PreferenceSettings,
  options: Pick<ReadOptions, 'signal'> = {},
): Promise<TaskData<PreferenceRecord>> => {
  const { records, report } = await readComparisons(path, settings, options)
  const pairs = records.flatMap((record) => pairsOf(record, settings.pairs))
  return { records: pairs, report: { ...report, records: pairs.length } }
}
