// The bias that the scores of a new head begin with. Knows no task and no architecture.
import type { Model } from '../models/index.ts'
import { type PreparedTask, priorScores, type TaskExample } from '../tasks/index.ts'
import { noGrad, scope, Tensor } from '../tensor/index.ts'

/** Changes nothing where the head has no bias on its scores, or the task's answers are not scores of rows. */
export const beginAtPrior = ({ head }: Model, task: PreparedTask, examples: readonly TaskExample[]): void => {
  const bias = head.scores?.bias
  if (bias === undefined || task.writing !== undefined || task.rows === undefined) return
  const prior = priorScores(task.rows, examples)
  scope(() => noGrad(() => void bias.detach().copy_(Tensor.from(prior, { shape: [prior.length] }))))
}
