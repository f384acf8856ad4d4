// The share of units with the right class.
import type { Confusion } from './confusion-matrix.ts'

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
