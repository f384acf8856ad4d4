// Confusion matrices from pairs of reference and predicted class: the basis of accuracy, F1 and Matthews' coefficient.
import { GrowingList } from './growing-list.ts'

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

  /** Class indices of the reference and of the prediction. */
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
