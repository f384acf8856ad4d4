// Matthews' correlation coefficient for two or more classes; 0 where one side has a single class.
// @source Gorodkin 2004, Computational Biology and Chemistry 28(5-6), 367-374
import { type Confusion, classCounts } from './confusion-matrix.ts'

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
