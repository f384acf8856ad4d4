// Texts with their summaries, in the layouts of data sets: rows with columns, Opinosis' folders of topics, and QMSum's meetings with
// queries.
import { basename } from 'node:path'
import { DataError, show } from '../../core/index.ts'
import { type PackedFile, packedFiles, strictText } from '../../files/index.ts'
import { type Checked, fault, textIn } from '../records/columns.ts'
import { summaryDatasets } from '../records/known-datasets.ts'
import { type RecordSettings, readSeveral } from '../records/read-records.ts'
import { FaultCounter, noRecords } from '../records/read-report.ts'
import { type DataRow, type Fields, isFields } from '../records/row.ts'
import type { ReadOptions, TaskData, TaskRecord } from '../task.ts'

/** A text with its reference summaries. */
export interface SourceSummary {
  source: string
  /** A query about the source; undefined for a plain summary. */
  query?: string
  /** Reference summaries; empty where they are not known. */
  references: readonly string[]
}

interface SummarySettings extends RecordSettings {
  text: string
  summary: string
}

type SummaryData = TaskData<TaskRecord & SourceSummary>

type Read = (
  path: string,
  settings: SummarySettings,
  options: Pick<ReadOptions<TaskRecord & SourceSummary>, 'signal' | 'onRecord'> & { labelled: boolean },
) => Promise<SummaryData>

/** One summary, or a list of them. */
const summariesOf = ({ values }: DataRow, column: string): Checked<string[]> => {
  const value = values[column]
  const list = Array.isArray(value) ? (value as unknown[]) : [value]
  const texts = list.filter((one): one is string => typeof one === 'string' && one.trim() !== '')
  if (texts.length > 0 && texts.length === list.length) return { value: texts.map((text) => text.trim()) }
  return fault('no-summary', `Expected a summary, or a list of them, in column "${column}", got ${show(value)}.`)
}

const rows: Read = (path, settings, { labelled, ...flow }) =>
  readSeveral<SourceSummary>(
    path,
    settings,
    {
      columns: { text: settings.text, ...(labelled ? { summary: settings.summary } : {}) },
      datasets: summaryDatasets,
      several: (row) => {
        const source = textIn(row, settings.text)
        if ('fault' in source) return [source]
        const summaries = labelled ? summariesOf(row, settings.summary) : { value: [] }
        return ['fault' in summaries ? summaries : { value: { source: source.value, references: summaries.value } }]
      },
    },
    flow,
  )

/** Text in UTF-8, else in Latin-1: Opinosis has both. */
const utf8OrLatin1 = ({ data, file }: PackedFile): string => {
  try {
    return strictText(data, file)
  } catch (error) {
    if (!(error instanceof DataError)) throw error
    return data.toString('latin1')
  }
}

const topicSource = /(^|\/)topics\/[^/]+\.txt\.data$/
const topicSummary = /\/([^/]+)\.\d+\.gold$/

/** Opinosis: `topics/NAME.txt.data` has the sentences, `summaries-gold/NAME/NAME.1.gold` … the summaries. */
const opinosis: Read = async (path, { onFault, limit = Number.POSITIVE_INFINITY }, { labelled, signal }) => {
  const files = await packedFiles(path, ['.txt.data', '.gold'], signal)
  const golds = new Map<string, string[]>()
  for (const file of files) {
    const topic = topicSummary.exec(`/${file.name}`)?.[1]
    const text = topic === undefined ? '' : utf8OrLatin1(file).trim()
    if (topic !== undefined && text !== '') golds.set(topic, [...(golds.get(topic) ?? []), text])
  }
  const faults = new FaultCounter(onFault, 'settings')
  const records: (TaskRecord & SourceSummary)[] = []
  for (const file of files.filter(({ name }) => topicSource.test(name))) {
    if (records.length >= limit) break
    const topic = basename(file.name).replace(/\.txt\.data$/, '')
    const source = utf8OrLatin1(file)
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .join('\n')
    const references = golds.get(topic) ?? []
    const place = { file: file.file, line: undefined }
    if (source === '') faults.fault({ reason: 'empty-text', message: 'Expected sentences, got none.' }, place)
    else if (labelled && references.length === 0)
      faults.fault({ reason: 'no-summary', message: `Expected summaries in summaries-gold/${topic}, got none.` }, place)
    else records.push({ id: topic, ...place, source, references: labelled ? references : [] })
  }
  if (records.length === 0) throw noRecords(path, faults)
  return { records, report: { files: [path], records: records.length, skipped: faults.skipped } }
}

const spoken = (turns: unknown): string | undefined => {
  if (!Array.isArray(turns)) return undefined
  const lines = turns.map((turn: unknown) =>
    isFields(turn) && typeof turn.content === 'string' ? `${String(turn.speaker ?? '')}: ${turn.content}` : undefined,
  )
  return lines.includes(undefined) ? undefined : lines.join('\n')
}

/** The turns of a query's spans, such as `[["12", "30"]]`; the whole meeting without spans. */
const relevant = (turns: readonly unknown[], spans: unknown): readonly unknown[] => {
  const ranges = Array.isArray(spans) ? (spans as unknown[]) : []
  const picked = ranges.flatMap((range) => {
    const [from, to] = Array.isArray(range) ? range.map(Number) : [Number.NaN, Number.NaN]
    return Number.isInteger(from) && Number.isInteger(to) ? turns.slice(from, to + 1) : []
  })
  return picked.length > 0 ? picked : turns
}

/** QMSum: a record for each query of a meeting; specific queries have their own turns as source. */
const meetings: Read = (path, settings, { labelled, ...flow }) =>
  readSeveral<SourceSummary>(
    path,
    settings,
    {
      columns: { text: 'meeting_transcripts' },
      optional: 'all',
      several: ({ values }) => {
        const turns = values.meeting_transcripts
        if (!Array.isArray(turns) || spoken(turns) === undefined)
          return [fault('no-text', `Expected turns with a speaker and a content, got ${show(turns)}.`)]
        const lists = [values.general_query_list, values.specific_query_list]
        const queries = lists.flatMap((list) => (Array.isArray(list) ? (list as unknown[]) : []))
        if (queries.length === 0) return [fault('no-query', 'Expected a meeting with queries, got none.')]
        return queries.map((one): Checked<SourceSummary> => {
          const { query, answer, relevant_text_span: spans } = isFields(one) ? one : ({} as Fields)
          if (typeof query !== 'string' || query.trim() === '')
            return fault('no-query', `Expected text for \`query\`, got ${show(query)}.`)
          if (labelled && (typeof answer !== 'string' || answer.trim() === ''))
            return fault('no-summary', `Expected text for \`answer\`, got ${show(answer)}.`)
          return {
            value: {
              source: spoken(relevant(turns, spans)) ?? '',
              query: query.trim(),
              references: labelled ? [String(answer).trim()] : [],
            },
          }
        })
      },
    },
    flow,
  )

export const summaryLayouts = { rows, opinosis, meetings } as const satisfies Record<string, Read>
export type SummaryLayout = keyof typeof summaryLayouts
export const summaryLayoutNames = Object.keys(summaryLayouts) as [SummaryLayout, ...SummaryLayout[]]
