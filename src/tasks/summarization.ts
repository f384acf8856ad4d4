// Summarisation of texts, conversations and opinions by a prompted decoder or by an encoder-decoder.
// @source Raffel et al. 2020, arXiv:1910.10683 (the prefix); Lin 2004, aclanthology.org/W04-1013 (ROUGE)

import { basename } from 'node:path'
import { z } from 'zod'
import { ConfigError, DataError, show } from '../core/index.ts'
import { type PackedFile, packedFiles, strictText } from '../files/index.ts'
import type { GeneratedPrediction } from './generative/answer-scores.ts'
import { generationFields, metricsField } from './generative/generation-fields.ts'
import { type GenerativeRecord, generativeTaskParts } from './generative/generative-task.ts'
import { fillPrompt } from './generative/prompts.ts'
import { type Checked, fault, textIn } from './records/columns.ts'
import { summaryDatasets } from './records/known-datasets.ts'
import { type RecordSettings, readSeveral } from './records/read-records.ts'
import { rowFields } from './records/read-rows.ts'
import { streaming } from './records/record-source.ts'
import { type DataRow, FaultCounter, type Fields, isFields, noRecords } from './records/row.ts'
import { defineTask, type ReadOptions, type TaskData, type TaskExample, type TaskRecord } from './task.ts'

/** A text with its reference summaries. */
export interface SummaryRecord extends GenerativeRecord {
  source: string
  /** A query about the source; undefined for a plain summary. */
  query?: string
}
type Summary = Omit<SummaryRecord, keyof TaskRecord>

interface SummarySettings extends RecordSettings {
  text: string
  summary: string
}

type Read = (
  path: string,
  settings: SummarySettings,
  options: Pick<ReadOptions<SummaryRecord>, 'signal' | 'onRecord'> & { labelled: boolean },
) => Promise<TaskData<SummaryRecord>>

/** One summary, or a list of them. */
const summariesOf = ({ values }: DataRow, column: string): Checked<string[]> => {
  const value = values[column]
  const list = Array.isArray(value) ? (value as unknown[]) : [value]
  const texts = list.filter((one): one is string => typeof one === 'string' && one.trim() !== '')
  if (texts.length > 0 && texts.length === list.length) return { value: texts.map((text) => text.trim()) }
  return fault('no-summary', `Expected a summary, or a list of them, in column "${column}", got ${show(value)}.`)
}

const rows: Read = (path, settings, { labelled, ...flow }) =>
  readSeveral<Summary>(
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
  const records: SummaryRecord[] = []
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
    if (source === '') faults.count('empty-text', 'Expected sentences, got none.', place)
    else if (labelled && references.length === 0)
      faults.count('no-summary', `Expected summaries in summaries-gold/${topic}, got none.`, place)
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
  readSeveral<Summary>(
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
        return queries.map((one): Checked<Summary> => {
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

const summaryLayouts = { rows, opinosis, meetings } as const satisfies Record<string, Read>
type SummaryLayout = keyof typeof summaryLayouts
const summaryLayoutNames = Object.keys(summaryLayouts) as [SummaryLayout, ...SummaryLayout[]]

const config = z.strictObject({
  ...rowFields,
  layout: z
    .enum(summaryLayoutNames)
    .default('rows')
    .describe('data layout: rows with columns, the folders of Opinosis, or the meetings of QMSum'),
  text: z.string().default('text').describe('column with the text to summarise'),
  summary: z.string().default('summary').describe('column with the reference summary, or a list of several'),
  prompt: z
    .string()
    .default('Summarize the following text.\n\n{text}')
    .describe('prompt for decoders; {text} is replaced by the text, {query} by the query of data sets with queries'),
  prefix: z.string().default('summarize: ').describe('prefix of the text for encoder-decoders'),
  ...generationFields,
  metrics: metricsField(['rouge1', 'rouge2', 'rougeL', 'rougeLsum']),
})
type Config = z.output<typeof config>

export const summarization = defineTask<Config, SummaryRecord, TaskExample, GeneratedPrediction, 'summarization'>({
  type: 'summarization',
  source: 'arXiv:1910.10683',
  summary: 'a generated summary of a text, optionally for a query',
  config,
  datasets: summaryDatasets,
  dataSettings: [...Object.keys(rowFields), 'layout', 'text', 'summary'],
  ...generativeTaskParts<Config, SummaryRecord>({
    chatPrompt: ({ source, query = '' }, { prompt }) => fillPrompt(prompt, { text: source, query }, 'text'),
    encoderInput: ({ source, query }, { prefix }) => `${prefix}${query === undefined ? '' : `${query} `}${source}`,
    mainMetric: ({ metrics }) => (metrics.includes('rougeL') ? 'rougeL' : (metrics[0] ?? 'perplexity')),
  }),
  read: streaming((path, settings, { labelled = true, ...flow } = {}) =>
    summaryLayouts[settings.layout](path, settings, { labelled, ...flow }),
  ),
  recordFromInput({ text, query }, id) {
    if (typeof text !== 'string' || text.trim() === '')
      throw new ConfigError(`Expected a text for \`text\`, got ${show(text)}.`)
    const queryField = typeof query === 'string' ? { query } : {}
    return { id, file: 'input', line: undefined, source: text, ...queryField, references: [] }
  },
})
