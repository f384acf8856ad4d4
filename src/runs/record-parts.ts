// A record of a task as people read it: the fields of its input, and its reference answer as one text. Independent of single tasks.
import type { TaskRecord } from '../tasks/index.ts'

/** The content of a record. */
export interface RecordParts {
  /** Fields of the input by name, in their order. */
  inputs: [name: string, value: unknown][]
  /** The reference answer; empty where it is not known. */
  answer: string
}

const shown = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value))

/** @param answerFields fields with the reference answer; all others are the input */
export const recordParts = (record: TaskRecord, answerFields: readonly string[]): RecordParts => {
  const { id: _, file: __, line: ___, group: ____, ...content } = record
  const fields: [string, unknown][] = Object.entries(content)
  const answers = fields.filter(([name, value]) => answerFields.includes(name) && value !== undefined)
  return {
    inputs: fields.filter(([name]) => !answerFields.includes(name)),
    answer: answers.map(([, value]) => (Array.isArray(value) ? value : [value]).map(shown).join(', ')).join('; '),
  }
}
