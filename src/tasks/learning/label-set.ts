// The labels of a data set: given in the settings or collected from the records, and values resolved to labels.
import { z } from 'zod'
import { byCodeUnits, ConfigError, DataError, didYouMean } from '../../core/index.ts'
import type { Place, RecordFault } from '../records/row.ts'
import type { AnswerVariety, RecordStatistics } from '../records/statistics.ts'

export const labelsField = (description: string) =>
  z
    .array(z.string().trim().min(1))
    .min(2)
    .refine((names) => new Set(names).size === names.length, {
      message: 'Expected distinct labels, got one twice. Remove it.',
    })
    .optional()
    .describe(description)

/** A config field with names that labels of the data get. */
export const labelMapField = (of: string) =>
  z
    .record(z.string().min(1), z.string().trim().min(1))
    .optional()
    .describe(`other names for ${of}, such as neg=negative: the labels of another data set, or fewer classes`)

/** A label by the name that a map gives it. A tag such as B-PER may be mapped by its type alone. */
export const mapLabel = (label: string, map: { readonly [label: string]: string } | undefined): string => {
  if (map === undefined) return label
  if (Object.hasOwn(map, label)) return map[label]
  const [, prefix, type] = /^([A-Z]-)(.+)$/.exec(label) ?? []
  return type !== undefined && Object.hasOwn(map, type) ? prefix + map[type] : label
}

const whole = /^\d+$/

/** Distinct labels: numbers in ascending order, names by code units, so that the order is the same on every machine. */
export const sortedLabels = (labels: Iterable<string>): string[] => {
  const all = [...new Set(labels)]
  return all.every((label) => whole.test(label)) ? all.sort((a, b) => Number(a) - Number(b)) : all.sort(byCodeUnits)
}

/** The label that a value means: itself, or the label with that index, as many data sets have it. Undefined for neither. */
export const resolveLabel = (value: string, labels: readonly string[]): string | undefined => {
  if (labels.includes(value)) return value
  return whole.test(value) ? labels[Number(value)] : undefined
}

/** A sentence on labels of data that are no labels of a model and were read as numbers of its classes; undefined for none. */
export const classNumberNote = (found: Iterable<string>, labels: readonly string[]): string | undefined => {
  const read = sortedLabels(found).flatMap((label) => {
    const meant = labels.includes(label) ? undefined : resolveLabel(label, labels)
    return meant === undefined ? [] : [`${label} = ${meant}`]
  })
  if (read.length === 0) return undefined
  const shown = `${read.slice(0, 20).join(', ')}${read.length > 20 ? ', …' : ''}`
  return `Labels of the data were read as numbers of the model's classes: ${shown}. If they mean others, name them with \`settings.labelMap\`.`
}

export const unknownLabel = (value: string, labels: readonly string[]): RecordFault => ({
  reason: 'unknown-label',
  message: `Expected one of the labels ${labels.slice(0, 20).join(', ')}${labels.length > 20 ? ', …' : ''}, got "${value}".${didYouMean(value, labels)}`,
})

/** The index of each label. @throws DataError with file and line for a label that the model does not have */
export const labelNumbers = (labels: readonly string[]): ((label: string, place: Place) => number) => {
  const numbers = new Map(labels.map((label, i) => [label, i]))
  return (label, { file, line }) => {
    const number = numbers.get(label)
    if (number !== undefined) return number
    const resolved = resolveLabel(label, labels)
    if (resolved !== undefined) return numbers.get(resolved)!
    throw new DataError(unknownLabel(label, labels).message, file, line)
  }
}

/** The labels of a head. @throws ConfigError for none */
export const expectLabels = (labels: readonly string[] | undefined): readonly string[] => {
  if (labels !== undefined && labels.length > 0) return labels
  throw new ConfigError('`headOptions.labels` needs the labels of the head: pass those of the model.')
}

/** @throws DataError for fewer than two classes */
export const expectClasses = (labels: readonly string[], { file }: RecordStatistics): string[] => {
  if (labels.length > 1) return [...labels]
  throw new DataError(
    `Expected records of two classes or more, got ${labels.length === 0 ? 'none' : `"${labels[0]}" only`}. Add data, or name all \`labels\`.`,
    file,
  )
}

/** @throws DataError when all records with an answer have the same one */
export const expectVariedAnswers = (
  { answers, answer: first, varied, file }: AnswerVariety & RecordStatistics,
  wanted = 'records of two classes or more',
): void => {
  if (answers < 2 || varied) return
  throw new DataError(
    `Expected ${wanted}, got ${first === '' ? 'none with a label' : `"${first}" only`}. Add records with others.`,
    file,
  )
}

const fewRecords = 20

/** @throws DataError where nearly every record has a label of its own: free text or numbers rather than classes */
export const expectFewClasses = (labels: readonly string[], { records, file }: RecordStatistics): void => {
  if (records < fewRecords || labels.length <= records / 2) return
  throw new DataError(
    `Expected classes with several records each for \`label\`, got ${labels.length} labels in ${records} records, such as "${labels[0].slice(0, 40)}". Name the column of the classes, or all \`labels\`; for numbers use the task regression.`,
    file,
  )
}
