// Scores of single-label classification from reference and predicted classes.
import { accuracy } from './accuracy.ts'
import { Calibration } from './calibration.ts'
import { ConfusionMatrix, classCounts } from './confusion-matrix.ts'
import { classF1, meanF1 } from './f1.ts'
import { GrowingList } from './growing-list.ts'
import { matthews } from './matthews.ts'
import type { ScoredUnits, Scores } from './scored-units.ts'

interface ClassOptions {
  /** Class names in the order of their indices. */
  labels: readonly string[]
  /** Index of the class whose precision, recall and F1 are reported. */
  positive?: number
}

/** Names of the scores of classes; precision, recall and F1 of one class where `positive` names it. */
export const classScoreNames = ({ positive }: { positive: string | undefined }): string[] => [
  'accuracy',
  ...(positive === undefined ? [] : ['precision', 'recall', 'f1']),
  ...['f1Macro', 'f1Weighted', 'f1Micro', 'matthews', 'calibrationError'],
]

/** Reference and predicted classes of units, whose names and order may be known only when all have been added. */
export class ClassScores {
  readonly #right = new GrowingList()
  readonly #predicted = new GrowingList()
  readonly #confidences = new GrowingList()

  /** @param confidence probability of the predicted class; where one is missing, no unit has a calibration */
  add(right: number, predicted: number, confidence = Number.NaN): void {
    this.#right.push(right)
    this.#predicted.push(predicted)
    this.#confidences.push(confidence)
  }

  /** @param indexOf the index among the labels of a class as it was added (default: the same) */
  units(options: ClassOptions, indexOf: (added: number) => number = (added) => added): ScoredUnits {
    const confidences = this.#confidences.values()
    const matrix = new ConfusionMatrix(options.labels.length)
    const calibration = confidences.every(Number.isFinite) ? new Calibration() : undefined
    const predicted = this.#predicted.values()
    this.#right.values().forEach((added, i) => {
      const [right, said] = [indexOf(added), indexOf(predicted[i])]
      matrix.add(right, said)
      calibration?.add(confidences[i], right === said)
    })
    return new ClassUnits(options, matrix, calibration)
  }
}

class ClassUnits implements ScoredUnits {
  readonly #options: ClassOptions
  readonly #matrix: ConfusionMatrix
  readonly #calibration: Calibration | undefined

  constructor(options: ClassOptions, matrix: ConfusionMatrix, calibration: Calibration | undefined) {
    this.#options = options
    this.#matrix = matrix
    this.#calibration = calibration
  }

  get units(): number {
    return this.#matrix.units
  }

  scores(counts?: ArrayLike<number>): Scores {
    const { positive } = this.#options
    const confusion = this.#matrix.counted(counts)
    const each = classCounts(confusion)
    return {
      accuracy: accuracy(confusion),
      ...(positive === undefined ? {} : classF1(each, positive)),
      f1Macro: meanF1(each, 'each').f1,
      f1Weighted: meanF1(each, 'support').f1,
      f1Micro: meanF1(each, 'all').f1,
      matthews: matthews(confusion),
      ...(this.#calibration && { calibrationError: this.#calibration.error(counts) }),
    }
  }

  details(): { [name: string]: unknown } {
    const { labels } = this.#options
    const { classes, cells } = this.#matrix.counted()
    const each = classCounts({ classes, cells })
    return {
      labels: [...labels],
      /** Rows are reference classes, columns are predicted classes. */
      confusion: labels.map((_, i) => Array.from(cells.subarray(i * classes, (i + 1) * classes))),
      classes: Object.fromEntries(labels.map((label, i) => [label, { ...classF1(each, i), records: each.right[i] }])),
      ...(this.#calibration && { calibration: this.#calibration.bins().filter(({ units }) => units > 0) }),
    }
  }
}
