// Reduction of the learning rate when evaluations stop improving. Independent of the loop: its state is in checkpoints.
import type { LoopState } from './loop-state.ts'
import type { TrainingSettings } from './settings.ts'

type Settings = NonNullable<TrainingSettings['plateau']>
type State = NonNullable<LoopState['plateau']>

/** The state after an evaluation. @source torch.optim.lr_scheduler.ReduceLROnPlateau */
export const afterEvaluation = (
  { patience }: Settings,
  { reductions, waited }: State = { reductions: 0, waited: 0 },
  improved: boolean,
): State => {
  if (improved) return { reductions, waited: 0 }
  return waited + 1 > patience ? { reductions: reductions + 1, waited: 0 } : { reductions, waited: waited + 1 }
}

/** Factor of the learning rate. */
export const plateauFactor = (settings: Settings | undefined, state: State | undefined): number =>
  settings === undefined || state === undefined ? 1 : Math.max(settings.floor, settings.factor ** state.reductions)
