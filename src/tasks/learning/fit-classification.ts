// Temperature and thresholds of a classification specialist, fitted on its validation records: settings that are stored with it,
// its predictions with them, and how much better they are.
import { DataError } from '../../core/index.ts'
import type { TaskPrediction, TaskRecord } from '../task.ts'
import { atTemperature, type DecisionQuality, type Decisions, decisionQuality, fitDecision } from './fit-decision.ts'
import { argmax, rounded } from './probabilities.ts'

/** What can be fitted. */
export const decisionParts = ['temperature', 'thresholds'] as const

/** The settings that say what is fitted, and those that are. */
export interface DecisionSettings {
  fit: readonly (typeof decisionParts)[number][]
  multiLabel: boolean
  temperature: number
  threshold: number
  thresholds?: { [label: string]: number } | undefined
}

/** A prediction with probabilities by label. */
export interface LabelPrediction extends TaskPrediction {
  label?: string
  labels?: string[]
  probabilities?: { [label: string]: number }
}

/** Fitted settings, predictions with them, and quality before and after, on the records that they were fitted on. */
export interface FittedClassification<Prediction> {
  settings: Pick<DecisionSettings, 'temperature' | 'thresholds'>
  predictions: Prediction[]
  fitted: { records: number; before: DecisionQuality; after: DecisionQuality }
}

/**
 * Fits what the settings ask for; undefined where they ask for nothing.
 * @throws DataError for records without labels
 */
export const fitClassification = <Prediction extends LabelPrediction>(
  records: readonly (TaskRecord & { labels: readonly string[] | undefined })[],
  predictions: readonly Prediction[],
  { fit, multiLabel, temperature, threshold, thresholds }: DecisionSettings,
): FittedClassification<Prediction> | undefined => {
  if (fit.length === 0) return undefined
  const names = Object.keys(predictions[0]?.probabilities ?? {})
  if (names.length === 0)
    throw new DataError('`fit` needs validation records and probabilities of the labels, got none. Remove `fit`.')
  const decisions = predictions.map(({ probabilities = {} }, i): Decisions => {
    const { labels, file, line } = records[i]
    if (labels === undefined)
      throw new DataError('`fit` needs labels of all validation records, got one without.', file, line)
    return {
      probabilities: names.map((name) => probabilities[name]),
      right: labels.map((label) => names.indexOf(label)),
    }
  })
  const usual = names.map((name) => thresholds?.[name] ?? threshold)
  const found = fitDecision(
    decisions,
    names.length,
    { temperature: fit.includes('temperature'), thresholds: fit.includes('thresholds') },
    { multiLabel, usual: threshold },
  )
  const chosen = (found.thresholds ?? usual).map(rounded)
  const scale = rounded(found.temperature)
  return {
    settings: {
      temperature: rounded(temperature * scale),
      thresholds:
        found.thresholds === undefined ? thresholds : Object.fromEntries(names.map((name, i) => [name, chosen[i]])),
    },
    predictions: predictions.map((prediction, i) => {
      const shares = atTemperature(decisions[i].probabilities, scale, multiLabel)
      const probabilities = Object.fromEntries(names.map((name, k) => [name, rounded(shares[k])]))
      if (!multiLabel) return { ...prediction, label: names[argmax(shares)], probabilities }
      return { ...prediction, labels: names.filter((_, k) => shares[k] >= chosen[k]), probabilities }
    }),
    fitted: {
      records: records.length,
      before: decisionQuality(decisions, names.length, { temperature: 1, thresholds: usual }, multiLabel),
      after: decisionQuality(decisions, names.length, { temperature: scale, thresholds: chosen }, multiLabel),
    },
  }
}
