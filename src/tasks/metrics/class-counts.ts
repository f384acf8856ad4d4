// Confusion matrices from pairs of reference and predicted class, and what is computed from them: accuracy, F1 and Matthews' coefficient.
import { GrowingList } from './scored-units.ts'

/** Counts: cells[reference * classes + predicted]. */
export interface Confusion {
  classes: number
  cells: Float64Array
}

export class ConfusionMatrix {
  readonly #classes: number
  readonly #cells = new GrowingList()

  constructor(classes: number) {
    this.#classes = classes
  }

  get units(): number {
    return this.#cells.length
  }

  add(right: number, predicted: number): void {
    this.#cells.push(right * this.#classes + predicted)
  }

  counted(counts?: ArrayLike<number>): Confusion {
    const cells = new Float64Array(this.#classes ** 2)
    const places = this.#cells.values()
    for (let i = 0; i < places.length; i++) cells[places[i]] += counts === undefined ? 1 : counts[i]
    return { classes: this.#classes, cells }
  }
}

/** Per class: counts as reference, as prediction, and as both. */
export interface ClassCounts {
  right: Float64Array
  predicted: Float64Array
  both: Float64Array
}

export const classCounts = ({ classes, cells }: Confusion): ClassCounts => {
  const right = new Float64Array(classes)
  const predicted = new Float64Array(classes)
  const both = new Float64Array(classes)
  for (let i = 0; i < classes; i++) {
    both[i] = cells[i * classes + i]
    for (let j = 0; j < classes; j++) {
      right[i] += cells[i * classes + j]
      predicted[j] += cells[i * classes + j]
    }
  }
  return { right, predicted, both }
}

/** Accuracy of a confusion matrix; NaN without units. */
export const accuracy = ({ classes, cells }: Confusion): number => {
  let right = 0
  let all = 0
  for (let i = 0; i < cells.length; i++) {
    all += cells[i]
    if (Math.floor(i / classes) === i % classes) right += cells[i]
  }
  return right / all
}

// @source van Rijsbergen 1979, Information Retrieval, chapter 7
export interface F1 {
  precision: number
  recall: number
  f1: number
}

const ratio = (part: number, whole: number) => (whole === 0 ? 0 : part / whole)

/** From counts as reference, as prediction, and as both. */
const f1Of = (right: number, predicted: number, both: number): F1 => ({
  precision: ratio(both, predicted),
  recall: ratio(both, right),
  f1: ratio(2 * both, right + predicted),
})

export const classF1 = ({ right, predicted, both }: ClassCounts, index: number): F1 =>
  f1Of(right[index], predicted[index], both[index])

/** Means: `each` macro, `support` weighted by reference counts, `all` micro. */
export const meanF1 = (counts: ClassCounts, weigh: 'each' | 'support' | 'all'): F1 => {
  const { right, predicted, both } = counts
  const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0)
  if (weigh === 'all') return f1Of(sum(right), sum(predicted), sum(both))
  const mean: F1 = { precision: 0, recall: 0, f1: 0 }
  let whole = 0
  for (let i = 0; i < right.length; i++) {
    if (right[i] + predicted[i] === 0) continue
    const weight = weigh === 'each' ? 1 : right[i]
    const { precision, recall, f1 } = classF1(counts, i)
    mean.precision += weight * precision
    mean.recall += weight * recall
    mean.f1 += weight * f1
    whole += weight
  }
  return { precision: ratio(mean.precision, whole), recall: ratio(mean.recall, whole), f1: ratio(mean.f1, whole) }
}

// @source Gorodkin 2004, Computational Biology and Chemistry 28(5-6), 367-374
export const matthews = (confusion: Confusion): number => {
  const { right, predicted, both } = classCounts(confusion)
  let units = 0
  let hits = 0
  let mixed = 0
  let rightSquares = 0
  let predictedSquares = 0
  for (let i = 0; i < right.length; i++) {
    units += right[i]
    hits += both[i]
    mixed += right[i] * predicted[i]
    rightSquares += right[i] ** 2
    predictedSquares += predicted[i] ** 2
  }
  const below = Math.sqrt(units ** 2 - predictedSquares) * Math.sqrt(units ** 2 - rightSquares)
  return below === 0 ? 0 : (hits * units - mixed) / below
}
