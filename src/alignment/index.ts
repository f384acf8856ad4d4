// Alignment: training from preferences and rewards. What other folders may use of it.
export * from './environments/index.ts'
export {
  type CollateCompletionsOptions,
  type CompletionBatch,
  type CompletionTokens,
  collateCompletions,
  completionLength,
  completionLogProbs,
  type LogProbOptions,
  sumByCompletion,
  type TokenLogProbs,
} from './log-probs.ts'
export * from './preference/index.ts'
export {
  adapterCopyReference,
  adaptersOffReference,
  type CopyPrecision,
  type FollowingWeights,
  frozenCopy,
  isOnBase,
  modelReference,
  putOnBase,
  type Reference,
  type SharedBase,
} from './reference.ts'
export { type CachedReference, cachedReference, hashWeights, type ReferenceCacheOptions } from './reference-cache.ts'
export * from './reinforcement/index.ts'
export * from './rewards/index.ts'
export * from './rollouts/index.ts'
export { type CompletionScores, type ScoreCompletionsOptions, scoreCompletions } from './score-completions.ts'
