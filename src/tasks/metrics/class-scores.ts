// Scores of single-label classification from reference and predicted classes.
import { accuracy } from './accuracy.ts'
import { Calibration } from './calibration.ts'
import { ConfusionMatrix, classCounts } from './confusion-matrix.ts'
import { classF1, meanF1 } from './f1.ts'
import { matthews } from './matthews.ts'
import type { ScoredUnits, Scores } from './scored-units.ts'

export interface ClassScoresOptions {
  /** Class names in the order of their indices. */
  labels: readonly string[]
  /** Index of the class whose precision, recall and F1 are reported. */
  positive?: number
  /** Whether predictions come with confidences. */
  calibrated: boolean
}

/** Names of the scores of classes; precision, recall and F1 of one class where `positive` names it. */
export const classScoreNames = ({ positive }: { positive: string | undefined }): string[] => [
  'accuracy',
  ...(positive === undefined ? [] : ['precision', 'recall', 'f1']),
  ...['f1Macro', 'f1Weighted', 'f1Micro', 'matthews', 'calibrationError'],
]

export class ClassScores implements ScoredUnits {
  readonly #options: ClassScoresOptions
  readonly #matrix: ConfusionMatrix
  readonly #calibration = new Calibration()

  constructor(options: ClassScoresOptions) {
    this.#options = options
    this.#matrix = new ConfusionMatrix(options.labels.length)
  }

  get units(): number {
    return this.#matrix.units
  }

  add(right: number, predicted: number, confidence = Number.NaN): void {
    this.#matrix.add(right, predicted)
    if (this.#options.calibrated) this.#calibration.add(confidence, right === predicted)
  }

  scores(counts?: ArrayLike<number>): Scores {
    const { positive, calibrated } = this.#options
    const confusion = this.#matrix.counted(counts)
    const each = classCounts(confusion)
    return {
      accuracy: accuracy(confusion),
      ...(positive === undefined ? {} : classF1(each, positive)),
      f1Macro: meanF1(each, 'each').f1,
      f1Weighted: meanF1(each, 'support').f1,
      f1Micro: meanF1(each, 'all').f1,
      matthews: matthews(confusion),
      ...(calibrated ? { calibrationError: this.#calibration.error(counts) } : {}),
    }
  }

  details(): { [name: string]: unknown } {
    const { labels, calibrated } = this.#options
    const { classes, cells } = this.#matrix.counted()
    const each = classCounts({ classes, cells })
    return {
      labels: [...labels],
      /** Rows are reference classes, columns are predicted classes. */
      confusion: labels.map((_, i) => Array.from(cells.subarray(i * classes, (i + 1) * classes))),
      classes: Object.fromEntries(labels.map((label, i) => [label, { ...classF1(each, i), records: each.right[i] }])),
      ...(calibrated ? { calibration: this.#calibration.bins().filter(({ units }) => units > 0) } : {}),
    }
  }
}
