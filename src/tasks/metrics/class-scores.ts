// Scores of single-label classification from reference and predicted classes, and of independent tags.

import { Calibration } from './calibration.ts'
import { accuracy, type Confusion, ConfusionMatrix, classCounts, classF1, matthews, meanF1 } from './class-counts.ts'
import { GrowingList, type ScoredUnits, type Scores } from './scored-units.ts'

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

export const tagScoreNames = ['tokenAccuracy', 'f1Macro', 'f1Weighted'] as const

export class TagScores implements ScoredUnits {
  readonly #numbers = new Map<string, number>()
  /** Alternating reference and predicted tags of all sentences, and where each sentence ends among them. */
  readonly #tags = new GrowingList()
  readonly #ends = new GrowingList()

  get units(): number {
    return this.#ends.length
  }

  add(right: readonly string[], predicted: readonly string[]): void {
    const numberOf = (tag: string): number => {
      const known = this.#numbers.get(tag)
      if (known !== undefined) return known
      this.#numbers.set(tag, this.#numbers.size)
      return this.#numbers.size - 1
    }
    for (const [i, tag] of right.entries()) {
      this.#tags.push(numberOf(tag))
      this.#tags.push(numberOf(predicted[i]))
    }
    this.#ends.push(this.#tags.length)
  }

  #counted(counts?: ArrayLike<number>): Confusion {
    const classes = this.#numbers.size
    const cells = new Float64Array(classes ** 2)
    const tags = this.#tags.values()
    let i = 0
    this.#ends.values().forEach((end, unit) => {
      const count = counts === undefined ? 1 : counts[unit]
      for (; i < end; i += 2) cells[tags[i] * classes + tags[i + 1]] += count
    })
    return { classes, cells }
  }

  scores(counts?: ArrayLike<number>): Scores {
    const confusion = this.#counted(counts)
    const each = classCounts(confusion)
    return {
      tokenAccuracy: accuracy(confusion),
      f1Macro: meanF1(each, 'each').f1,
      f1Weighted: meanF1(each, 'support').f1,
    }
  }

  details(): { [name: string]: unknown } {
    const each = classCounts(this.#counted())
    const tags = [...this.#numbers].sort(([a], [b]) => (a < b ? -1 : 1))
    return { tags: Object.fromEntries(tags.map(([tag, i]) => [tag, { ...classF1(each, i), words: each.right[i] }])) }
  }
}
