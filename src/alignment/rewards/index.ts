// Rewards of answers: the functions, how they are scored, and how they are checked.
export { type CheckRewardsOptions, checkRewards, type RewardCheck } from './check-rewards.ts'
export {
  defineReward,
  type RewardContext,
  type RewardDefinition,
  RewardError,
  type RewardFailure,
  type RewardFunction,
  type RewardLimits,
  type RewardSample,
  type RewardScorer,
  type RewardValues,
  rewardFields,
  type SampledEpisode,
  type ScoreFunction,
  scoreEach,
} from './reward.ts'
export { openRewardCache, type RewardCache, type RewardCacheOptions } from './reward-cache.ts'
export {
  type RewardStatistics,
  type SampleRewards,
  type ScoredSamples,
  type ScoreSamplesOptions,
  scoreSamples,
} from './score-samples.ts'
