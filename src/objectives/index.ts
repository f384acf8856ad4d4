// The registry of objectives, and what other folders may use of them.
export {
  type AuxiliaryModel,
  type Batch,
  type CollateOptions,
  defineObjective,
  type LossOptions,
  type LossTerm,
  type Metric,
  type Objective,
  type ObjectiveContext,
  type ObjectiveDefinition,
  type TextRow,
  type TrainedModel,
  type Vocabulary,
} from './objective.ts'
