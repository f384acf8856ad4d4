// The share of units that were named rightly.
import type { Confusion } from './confusion-matrix.ts'

/** NaN for no units. */
export const accuracy = ({ classes, cells }: Confusion): number => {
  let right = 0
  let all = 0
  for (let i = 0; i < cells.length; i++) {
    all += cells[i]
    if (Math.floor(i / classes) === i % classes) right += cells[i]
  }
  return right / all
}
