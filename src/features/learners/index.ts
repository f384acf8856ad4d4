// The registry of learners; the first that can learn a kind of problem is the default for it.
import { gradientBoostedTrees } from './gradient-boosted-trees.ts'
import { linearSvm } from './linear-svm.ts'
import { logisticRegression } from './logistic-regression.ts'
import { mlp } from './mlp.ts'
import { nearestNeighbours } from './nearest-neighbours.ts'
import { ridge } from './ridge.ts'

export const learners = {
  'logistic-regression': logisticRegression,
  ridge,
  'linear-svm': linearSvm,
  'nearest-neighbours': nearestNeighbours,
  'gradient-boosted-trees': gradientBoostedTrees,
  mlp,
} as const
export type LearnerType = keyof typeof learners
