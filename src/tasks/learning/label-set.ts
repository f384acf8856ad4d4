// The labels of a data set: found in it, or given; and values as they are written turned into them. Knows no task.
import { z } from 'zod'
import { ConfigError, DataError, didYouMean } from '../../core/index.ts'
import type { RecordFault } from '../records/read-report.ts'
import type { TaskRecord } from '../task.ts'

/** Names of labels, where a config gives them. */
export const labelsField = (description: string) =>
  z
    .array(z.string().trim().min(1))
    .min(2)
    .refine((names) => new Set(names).size === names.length, {
      message: 'Expected labels that differ, got one twice. Remove it.',
    })
    .optional()
    .describe(description)

const whole = /^\d+$/

/** Numbers by size, then names in the order of code units, so that the same data gives the same order everywhere. */
export const sortedLabels = (labels: Iterable<string>): string[] => {
  const all = [...new Set(labels)]
  return all.every((label) => whole.test(label))
    ? all.sort((a, b) => Number(a) - Number(b))
    : all.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
}

/** What a value names among the labels: itself, or the label with that number, as data sets often have it. */
export const resolveLabel = (value: string, labels: readonly string[]): string | undefined => {
  if (labels.includes(value)) return value
  return whole.test(value) ? labels[Number(value)] : undefined
}

export const unknownLabel = (value: string, labels: readonly string[]): RecordFault => ({
  reason: 'unknown-label',
  message: `Expected one of the labels ${labels.slice(0, 20).join(', ')}${labels.length > 20 ? ', …' : ''}, got "${value}".${didYouMean(value, labels)}`,
})

/** The number of each label. @throws DataError at the record whose label the model does not have */
export const labelNumbers = (labels: readonly string[]): ((label: string, record: TaskRecord) => number) => {
  const numbers = new Map(labels.map((label, i) => [label, i]))
  return (label, { file, line }) => {
    const number = numbers.get(label)
    if (number !== undefined) return number
    const resolved = resolveLabel(label, labels)
    if (resolved !== undefined) return numbers.get(resolved)!
    throw new DataError(unknownLabel(label, labels).message, file, line)
  }
}

/** The labels of a head. @throws ConfigError when there are none */
export const expectLabels = (labels: readonly string[] | undefined): readonly string[] => {
  if (labels !== undefined && labels.length > 0) return labels
  throw new ConfigError('Expected the labels of the head for `headOptions.labels`, got none. Pass those of the model.')
}

/** @throws DataError when there is nothing to tell apart */
export const expectClasses = (labels: readonly string[], records: readonly TaskRecord[]): string[] => {
  if (labels.length > 1) return [...labels]
  throw new DataError(
    `Expected records of two classes or more, got ${labels.length === 0 ? 'none' : `"${labels[0]}" only`}. Add data, or name all \`labels\`.`,
    records[0]?.file,
  )
}

/** @throws DataError when every record that has an answer has the same one */
export const expectVariedAnswers = (
  answers: readonly (readonly string[])[],
  records: readonly TaskRecord[],
  wanted = 'records of two classes or more',
): void => {
  const first = answers[0]?.join(', ')
  if (answers.length < 2 || answers.some((answer) => answer.join(', ') !== first)) return
  throw new DataError(
    `Expected ${wanted}, got ${first === '' ? 'none with a label' : `"${first}" only`}. Add data of the others.`,
    records[0].file,
  )
}

const fewRecords = 20

/** @throws DataError where labels are texts or numbers of their own rather than classes */
export const expectFewClasses = (labels: readonly string[], records: readonly TaskRecord[]): void => {
  if (records.length < fewRecords || labels.length <= records.length / 2) return
  throw new DataError(
    `Expected classes of several records each for \`label\`, got ${labels.length} labels of ${records.length} records, such as "${labels[0].slice(0, 40)}". Name the right column, or all \`labels\`; for numbers take the task regression.`,
    records[0].file,
  )
}
