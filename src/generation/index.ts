// Text generation: `generate`, `streamText`, and the parts that other folders use.
export { DecodingBatch, type DecodingBatchOptions, type LanguageModel } from './decoding-batch.ts'
export { generate, streamText, TextSession } from './generate.ts'
export { type GenerateManyOptions, generateMany } from './generate-many.ts'
export { type FinishReason, TextAssembler } from './growing-text.ts'
export type { AbortOptions, GenerationResult, Prompt, TextPiece } from './job.ts'
export { beginPrompt, beginPrompts } from './job.ts'
export { KvCache } from './kv-cache.ts'
export { type LogitsProcessor, logitsProcessors, occurrencePenalty, tokenBias } from './logits-processors.ts'
export {
  type GenerationOptions,
  type GenerationSettings,
  generationFromHf,
  generationSchema,
  generationToHf,
  parseGeneration,
  withDefaults,
  withEnds,
} from './options.ts'
export {
  forEachPart,
  type PromptLogProbsOptions,
  promptLogProbs,
  type ScoredToken,
  type TextPartsOptions,
} from './prompt-log-probs.ts'
export type { GenerationHandle, GenerationRequest } from './scheduled-text.ts'
export { GenerationScheduler } from './scheduler.ts'
export type { AdapterRouting, AdapterSegment, SchedulerOptions } from './scheduler-options.ts'
export type { SpeculationOptions } from './speculation.ts'
export type { ChoiceOptions, LogProbKind, RankedToken } from './token-choice.ts'
export { samplingProcessors } from './token-choice.ts'
