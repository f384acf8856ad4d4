// Reinforcement learning from rewards: advantages, policy losses, critics, and choosing among answers. What the other
// folders of alignment and its users need of it.

export { type RolloutEqualityOptions, rolloutEqualities } from '../start-equalities.ts'
export { discountedReturns, generalizedAdvantages } from './advantages/gae.ts'
export * from './advantages/index.ts'
export {
  type AlgorithmDefinition,
  type AlgorithmType,
  algorithms,
  algorithmTypes,
  defineAlgorithm,
  findAlgorithm,
  type GradientExpectation,
  needsCritic,
  registerAlgorithm,
} from './algorithms.ts'
export {
  type CreatedCritic,
  type Critic,
  type CriticOptions,
  createCritic,
  criticOfAdapter,
  criticValues,
  scoreValues,
} from './critic.ts'
export { type AdaptiveKlConfig, adaptiveKlSchema, KlController, lossKl, rewardKl } from './kl-divergence.ts'
export { type OracleOptions, type OracleRow, policyGradientOracle } from './oracle.ts'
export { type PolicyParts, policyCriterion } from './policy-criterion.ts'
export {
  type Aggregation,
  definePolicyLoss,
  type PolicyLossConfig,
  type PolicyLossDefinition,
  type PolicyLossInput,
  type PolicyLossType,
  policyLosses,
  policyLossSchema,
  registerPolicyLoss,
} from './policy-losses/index.ts'
export { type PolicyConfig, type PolicyInput, policySchema } from './policy-settings.ts'
export { policyTerms } from './policy-terms.ts'
export {
  combineRewards,
  klRewards,
  overlongPenalty,
  type RewardedAnswer,
  type RewardShaping,
  rewardKlSchema,
  rewardShapingSchema,
  shapeReward,
} from './reward-shaping.ts'
export { checkRollouts, type RolloutExample, trainedTokens } from './rollout-example.ts'
export {
  bestAndWorst,
  bestOfN,
  bestOfNKl,
  type Candidate,
  expectedBestOf,
  passAtK,
  type RaftOptions,
  raftSelection,
  rejectionSample,
} from './selection.ts'
export { explainedVariance, whiten } from './whitening.ts'
