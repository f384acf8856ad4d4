// Text generation: `generate`, `streamText`, and the parts that other folders use.

export { DecodingBatch, type DecodingBatchOptions, type LanguageModel } from './decoding-batch.ts'
export {
  type AbortOptions,
  type GenerationResult,
  generate,
  type Prompt,
  streamText,
  type TextPiece,
} from './generate.ts'
export { type GenerateManyOptions, generateMany } from './generate-many.ts'
export { KvCache } from './kv-cache.ts'
export { type LogitsProcessor, logitsProcessors } from './logits-processors.ts'
export {
  type GenerationOptions,
  type GenerationSettings,
  generationFromHf,
  generationSchema,
  generationToHf,
  parseGeneration,
  withDefaults,
} from './options.ts'
export { samplingProcessors } from './sampling.ts'
export { type FinishReason, TextAssembler } from './stopping.ts'
export { TextSession } from './text-session.ts'
