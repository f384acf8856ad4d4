// The initial bias of a new head: what is right most often in the training records. Independent of task and architecture.
import type { Model } from '../../models/index.ts'
import { type PreparedTask, priorLogits, type TargetSums } from '../../tasks/index.ts'
import { noGrad, scope, Tensor } from '../../tensor/index.ts'

/** Sets the head's bias to the prior, if that bias is trained and the task's answers are scores of rows; else changes nothing. */
export const setPriorBias = (
  { head }: Model,
  trained: Iterable<Tensor>,
  task: PreparedTask,
  targets: TargetSums | undefined,
): void => {
  const bias = head.scores?.bias
  if (bias === undefined || task.generation !== undefined || task.rows === undefined || targets === undefined) return
  if (![...trained].includes(bias)) return
  const prior = priorLogits(task.rows, targets)
  scope(() => noGrad(() => void bias.detach().copy_(Tensor.from(prior, { shape: [prior.length] }))))
}
