// Questions with reference answers, in the layouts of data sets: rows with columns, and MedQuAD's XML files.
import { show } from '../../core/index.ts'
import { packedFiles, strictText, xmlElements } from '../../files/index.ts'
import { type Checked, fault, namedValueIn, textIn } from '../records/columns.ts'
import { questionDatasets } from '../records/known-datasets.ts'
import { type RecordSettings, readSeveral } from '../records/read-records.ts'
import { FaultCounter, noRecords } from '../records/read-report.ts'
import { type DataRow, isFields } from '../records/row.ts'
import type { ReadOptions, TaskData, TaskRecord } from '../task.ts'

/** A question with its reference answers. */
export interface QuestionAnswer {
  question: string
  /** A context for the answer, in data sets with contexts. */
  context?: string
  /** Reference answers; empty where they are not known. */
  references: readonly string[]
}

interface QuestionSettings extends RecordSettings {
  question: string
  context?: string
  answer: string
}

type QuestionData = TaskData<TaskRecord & QuestionAnswer>

type Read = (
  path: string,
  settings: QuestionSettings,
  options: Pick<ReadOptions<TaskRecord & QuestionAnswer>, 'signal' | 'onRecord'> & { labelled: boolean },
) => Promise<QuestionData>

/** A text or a number, or a list of them. */
const answersOf = (row: DataRow, column: string): Checked<string[]> => {
  const found = namedValueIn(row, column)
  if ('fault' in found) return found
  const { value } = found
  const list = (Array.isArray(value) ? (value as unknown[]) : [value]).map((one) =>
    typeof one === 'number' || typeof one === 'bigint' ? String(one) : one,
  )
  const texts = list.filter((one): one is string => typeof one === 'string' && one.trim() !== '')
  if (texts.length > 0 && texts.length === list.length) return { value: texts.map((text) => text.trim()) }
  return fault('no-answer', `Expected an answer, or a list of them, in column "${column}", got ${show(value)}.`)
}

/** PubMedQA has its paragraphs as a list, or as a list under `contexts`. */
const contextOf = ({ values, ...place }: DataRow, column: string): Checked<string> => {
  const value = values[column]
  const inner = isFields(value) ? (value.contexts ?? value) : value
  return textIn({ values: { [column]: inner }, ...place }, column)
}

const rows: Read = (path, settings, { labelled, ...flow }) => {
  const { question, context, answer } = settings
  return readSeveral<QuestionAnswer>(
    path,
    settings,
    {
      columns: { question, context, ...(labelled ? { answer } : {}) },
      datasets: questionDatasets,
      unset: context === undefined ? { context: /^(contexts?|passages?|documents?)$/i } : {},
      several: (row) => {
        const text = textIn(row, question)
        const about = context === undefined ? undefined : contextOf(row, context)
        const answers = labelled ? answersOf(row, answer) : { value: [] }
        for (const one of [text, about, answers]) if (one !== undefined && 'fault' in one) return [one]
        return [
          {
            value: {
              question: (text as { value: string }).value.trim(),
              ...(about === undefined ? {} : { context: (about as { value: string }).value.trim() }),
              references: (answers as { value: string[] }).value,
            },
          },
        ]
      },
    },
    flow,
  )
}

const elements = new Set(['QAPair', 'Question', 'Answer'])

/** Paragraphs stay separate; other white space, such as line breaks of the XML, becomes one space. */
const unwrapped = (text: string): string =>
  text
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.replace(/\s+/g, ' ').trim())
    .filter((paragraph) => paragraph !== '')
    .join('\n\n')

/** MedQuAD: a file per document with pairs of a question and an answer. */
const medquad: Read = async (path, { onFault, limit = Number.POSITIVE_INFINITY }, { labelled, signal }) => {
  const files = await packedFiles(path, ['.xml'], signal)
  const faults = new FaultCounter(onFault, 'settings')
  // Not a fault of the copy: the published data has documents without pairs, and answers removed for copyright.
  const lacking = new FaultCounter('skip')
  const records: (TaskRecord & QuestionAnswer)[] = []
  for (const { name: inside, file, data } of files) {
    signal?.throwIfAborted()
    const pairs = xmlElements(strictText(data, file), elements, file).filter(({ name }) => name === 'QAPair')
    if (pairs.length === 0)
      lacking.fault(
        { reason: 'no-pairs', message: 'Expected pairs of a question and an answer, got none.' },
        { file, line: undefined },
      )
    for (const [i, { line, children }] of pairs.entries()) {
      if (records.length >= limit) break
      const place = { file, line }
      const question = children.find(({ name }) => name === 'Question')
      const answer = unwrapped(children.find(({ name }) => name === 'Answer')?.text ?? '')
      const text = unwrapped(question?.text ?? '')
      if (text === '')
        faults.fault({ reason: 'empty-text', message: 'Expected a pair with a question, got none.' }, place)
      else if (labelled && answer === '')
        lacking.fault(
          { reason: 'no-answer', message: `Expected an answer to "${text.slice(0, 60)}", got none.` },
          place,
        )
      else
        records.push({
          // Ids inside the files repeat in other files.
          id: `${inside.replace(/\.xml$/i, '')}-${i + 1}`,
          ...place,
          question: text,
          references: labelled ? [answer] : [],
        })
    }
  }
  if (records.length === 0) throw noRecords(path, Object.keys(faults.skipped).length > 0 ? faults : lacking)
  const skipped = { ...faults.skipped, ...lacking.skipped }
  return { records, report: { files: [path], records: records.length, skipped } }
}

export const questionLayouts = { rows, medquad } as const satisfies Record<string, Read>
export type QuestionLayout = keyof typeof questionLayouts
export const questionLayoutNames = Object.keys(questionLayouts) as [QuestionLayout, ...QuestionLayout[]]
