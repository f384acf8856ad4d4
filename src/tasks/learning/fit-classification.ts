// Temperature and thresholds of a classification specialist, fitted on its validation records: settings that are stored with it,
// its predictions with them, and how much better they are.
import { DataError } from '../../core/index.ts'
import type { Measured, Measurement, TaskPrediction, TaskRecord } from '../task.ts'
import { atTemperature, type Decisions, decisionQuality, fitDecision } from './fit-decision.ts'
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

/** Takes predictions, and finds settings with which they are better. */
class ClassificationFit<Prediction extends LabelPrediction>
  implements Measurement<TaskRecord & { labels: readonly string[] | undefined }, Prediction>
{
  readonly #settings: DecisionSettings
  readonly #decisions: Decisions[] = []
  #names: readonly string[] = []

  constructor(settings: DecisionSettings) {
    this.#settings = settings
  }

  /** @throws DataError for a record without labels */
  add({ labels, file, line }: TaskRecord & { labels: readonly string[] | undefined }, prediction: Prediction): void {
    const { probabilities = {} } = prediction
    if (this.#decisions.length === 0) this.#names = Object.keys(probabilities)
    if (labels === undefined)
      throw new DataError('`fit` needs labels of all validation records, got one without.', file, line)
    this.#decisions.push({
      probabilities: this.#names.map((name) => probabilities[name]),
      right: labels.map((label) => this.#names.indexOf(label)),
    })
  }

  finish(): Measured<Prediction> {
    const { fit, multiLabel, temperature, threshold, thresholds } = this.#settings
    const [names, decisions] = [this.#names, this.#decisions]
    if (names.length === 0)
      throw new DataError('`fit` needs validation records and probabilities of the labels, got none. Remove `fit`.')
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
      predict(prediction) {
        const { probabilities: given = {} } = prediction
        const shares = atTemperature(
          names.map((name) => given[name]),
          scale,
          multiLabel,
        )
        const probabilities = Object.fromEntries(names.map((name, k) => [name, rounded(shares[k])]))
        if (!multiLabel) return { ...prediction, label: names[argmax(shares)], probabilities }
        return { ...prediction, labels: names.filter((_, k) => shares[k] >= chosen[k]), probabilities }
      },
      fitted: {
        records: decisions.length,
        before: decisionQuality(decisions, names.length, { temperature: 1, thresholds: usual }, multiLabel),
        after: decisionQuality(decisions, names.length, { temperature: scale, thresholds: chosen }, multiLabel),
      },
    }
  }
}

/** Fits what the settings ask for: `temperature` and `thresholds`; undefined where they ask for nothing. */
export const fitClassification = <Prediction extends LabelPrediction>(
  settings: DecisionSettings,
): ClassificationFit<Prediction> | undefined =>
  settings.fit.length === 0 ? undefined : new ClassificationFit<Prediction>(settings)
