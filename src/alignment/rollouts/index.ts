// Rollouts: answers that the policy writes while it trains, how they are scored, measured, stored and trained on.
export { type Alarm, type AlarmSettings, Alarms, alarmSchema } from './alarms.ts'
export { measureRollout } from './measures.ts'
export { completionOf, type PolicyMethodParts, policyMethod } from './policy-method.ts'
export {
  type AnswerEpisode,
  answerText,
  hasVariance,
  isFinished,
  promptIdsOf,
  type ResolvedRollout,
  type RolloutAnswer,
  type RolloutGroup,
  type RolloutPrompt,
  type RolloutSettings,
  rolloutSchema,
} from './rollout.ts'
export {
  type RolloutOutline,
  type RolloutRow,
  readRollout,
  readRolloutOutline,
  readRolloutRange,
  rolloutFile,
  rolloutFiles,
} from './rollout-files.ts'
export {
  type AnswerJudge,
  type AnswerSampler,
  klOf,
  type RolloutContext,
  type RolloutMethod,
  type RolloutParts,
  RolloutSource,
  type SampledAnswer,
  type TrainedAnswer,
} from './rollout-source.ts'
export { answerSampler, type EpisodeSamplerOptions, episodeSampler, withPackedWeights } from './samplers.ts'
export { distillationMethod, onlinePreferenceMethod, raftMethod } from './selection-methods.ts'
