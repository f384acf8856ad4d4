// The registry of architectures, and what other folders may use of models.
import { bert } from './bert.ts'
import { distilbert } from './distilbert.ts'
import { electra } from './electra.ts'
import { gpt2 } from './gpt2.ts'
import { llama, mistral } from './llama.ts'
import { qwen2, qwen3 } from './qwen.ts'
import { roberta } from './roberta.ts'
import { t5 } from './t5.ts'

export const models = { bert, distilbert, electra, gpt2, llama, mistral, qwen2, qwen3, roberta, t5 } as const
export type ModelType = keyof typeof models

export { expectFinite } from './finite.ts'
export { freezeWeights, frozenIn } from './frozen-weights.ts'
export {
  EmbeddingHead,
  Head,
  type HeadEntry,
  type HeadOptions,
  type HeadType,
  headOptionsSchema,
  headTypes,
  LanguageHead,
  ReplacedTokenDetectionHead,
  SentencePretrainingHead,
} from './heads/index.ts'
export {
  Body,
  type BodyFacts,
  type BodyInputs,
  type BodyOutputs,
  contextLength,
  firstTokensOf,
  type ModelDefinition,
  type ReadTokens,
} from './model.ts'
export { buildModel, headEntry, headsOf, Model, type ModelOutputs, modelKeys, withHead } from './model-with-head.ts'
