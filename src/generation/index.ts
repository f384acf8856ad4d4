// What other folders may use of generation.
export {
  type GenerationResult,
  generate,
  type Prompt,
  type RunOptions,
  streamText,
  type TextPiece,
} from './generate.ts'
export { generateMany, type ManyOptions } from './generate-many.ts'
export { KvCache } from './kv-cache.ts'
export { type BatchOptions, GrowingBatch, type LanguageModel } from './language-model.ts'
export {
  type GenerationOptions,
  type GenerationSettings,
  generationFromHf,
  generationSchema,
  generationToHf,
  parseGeneration,
  withDefaults,
} from './options.ts'
export { samplingRules } from './sampling.ts'
export { type ScoreRule, scoreRules } from './score-rules.ts'
export { type FinishReason, TextAssembler } from './stopping.ts'
export { TextSession } from './text-session.ts'
