// Training: the loop and its parts. What other folders may use of it.
export { expectBackwardUpdates } from './backward-updates.ts'
export type { TrainingProgress } from './budget.ts'
export { type RunLength, runLength, type TrainingPosition } from './budget.ts'
export {
  type BatchSize,
  type ExampleSource,
  ExampleStream,
  type FillContext,
  type OnlineExamples,
  type TakenBatch,
  takeBatch,
} from './example-stream.ts'
export {
  type BatchGradients,
  computeGradients,
  type GradientOptions,
  type TrainableModel,
  totalWeights,
  trainedParameters,
} from './gradients.ts'
export { describeNonFinite, type NonFiniteReport, RiseWatch } from './incidents.ts'
export { initialState, type LoopState, resumedState } from './loop-state.ts'
export { Mixout } from './mixout.ts'
export { type PlanExtent, type PlannableRun, type PlannedSteps, planSteps, type StepMark } from './plan-steps.ts'
export { evaluateLargest } from './planned-batches.ts'
export { forwardFlopsPerToken, type PreFlight, type PreFlightFacts, preFlight } from './pre-flight.ts'
export { budgetSchema, type TrainingSettings, trainingSchema } from './settings.ts'
export { ShardedWeights } from './sharded-weights.ts'
export { writeSharedSnapshot } from './shared-snapshot.ts'
export {
  type FoundSnapshot,
  listSnapshots,
  newestSnapshot,
  pruneSnapshots,
  type RunState,
  readSnapshot,
  removeLeftovers,
  restoreTensors,
  type SnapshotParts,
  setAsideAfter,
  snapshotPath,
  stepName,
  verifySnapshot,
  writeSnapshot,
} from './snapshot.ts'
export { evaluationPhase, fillPhase, train } from './train.ts'
export type { TrainingRun } from './training-run.ts'
export { shareOf } from './training-run.ts'
export { evaluateValidation, type ValidationOptions } from './validation.ts'
