// Text generation: `generate`, `streamText`, and the parts that other folders use.

export type { AdapterRouting, AdapterSegment } from './adapter-routing.ts'
export { beginPrompt, beginPrompts } from './begin-prompt.ts'
export { DecodingBatch, type DecodingBatchOptions, type LanguageModel } from './decoding-batch.ts'
export { generate, streamText } from './generate.ts'
export { type GenerateManyOptions, generateMany } from './generate-many.ts'
export type { AbortOptions, GenerationResult, Prompt, TextPiece } from './job.ts'
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
export { type PromptLogProbsOptions, promptLogProbs, type ScoredToken } from './prompt-log-probs.ts'
export { samplingProcessors } from './sampling.ts'
export type { GenerationHandle, GenerationRequest } from './scheduled-text.ts'
export { GenerationScheduler } from './scheduler.ts'
export type { SchedulerOptions } from './scheduler-options.ts'
export type { SpeculationOptions } from './speculation.ts'
export { type FinishReason, TextAssembler } from './stopping.ts'
export { forEachPart, type TextPartsOptions } from './text-parts.ts'
export { TextSession } from './text-session.ts'
export type { ChoiceOptions, LogProbKind, RankedToken } from './token-choice.ts'
