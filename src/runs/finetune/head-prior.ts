// The bias that the scores of a new head begin with. Knows no task and no architecture.
import type { Model } from '../../models/index.ts'
import { type PreparedTask, priorLogits, type TaskExample } from '../../tasks/index.ts'
import { noGrad, scope, Tensor } from '../../tensor/index.ts'

/** Changes nothing where no bias on the head's scores is trained, or the task's answers are not scores of rows. */
export const beginAtPrior = (
  { head }: Model,
  trained: Iterable<Tensor>,
  task: PreparedTask,
  examples: readonly TaskExample[],
): void => {
  const bias = head.scores?.bias
  if (bias === undefined || task.generation !== undefined || task.rows === undefined) return
  if (![...trained].includes(bias)) return
  const prior = priorLogits(task.rows, examples)
  scope(() => noGrad(() => void bias.detach().copy_(Tensor.from(prior, { shape: [prior.length] }))))
}
