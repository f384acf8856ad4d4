// The registry of architectures, and what other folders may use of models.
import { Registry } from '../core/index.ts'
import { albert } from './albert.ts'
import { bart, mbart } from './bart.ts'
import { bert } from './bert.ts'
import { debertaV2 } from './deberta.ts'
import { distilbert } from './distilbert.ts'
import { electra } from './electra.ts'
import { gemma, gemma2, gemma3 } from './gemma.ts'
import { gptNeox } from './gpt-neox.ts'
import { gpt2 } from './gpt2.ts'
import { llama, mistral } from './llama.ts'
import { mixtral } from './mixtral.ts'
import type { ModelDefinition } from './model.ts'
import { modernBert } from './modernbert.ts'
import { mpnet } from './mpnet.ts'
import { olmo2 } from './olmo2.ts'
import { phi3 } from './phi3.ts'
import { qwen2, qwen3 } from './qwen.ts'
import { qwen3Moe } from './qwen3-moe.ts'
import { camembert, roberta, xlmRoberta } from './roberta.ts'
import { smollm3 } from './smollm3.ts'
import { mt5, t5 } from './t5.ts'

const registry = new Registry<ModelDefinition>('an architecture')

/** Every architecture by its `type`, those that packages registered included. */
export const models = registry.builtIn([
  albert,
  bart,
  bert,
  camembert,
  debertaV2,
  distilbert,
  electra,
  gemma,
  gemma2,
  gemma3,
  gpt2,
  gptNeox,
  llama,
  mbart,
  mistral,
  mixtral,
  modernBert,
  mpnet,
  mt5,
  olmo2,
  phi3,
  qwen2,
  qwen3,
  qwen3Moe,
  roberta,
  smollm3,
  t5,
  xlmRoberta,
])
/** Names of the built-in architectures. */
export type ModelType = keyof typeof models

/**
 * Adds an architecture to recipes, flags and checkpoints.
 * @throws ConfigError for a `type` that is taken
 */
export const registerModel = (definition: ModelDefinition): void => registry.register(definition)

export { type CrossStack, EncoderDecoderBody, firstPosition } from './bart.ts'
export { dropoutSettings } from './config-fields.ts'
export { DebertaBody } from './deberta.ts'
export { DecoderBody, DecoderLayer } from './decoder.ts'
export { EncoderBody, EncoderLayer } from './encoder.ts'
export { freeWeights, keepPackedBlocksOf, keepPackedWeights } from './free-weights.ts'
export { GptNeoxBody } from './gpt-neox.ts'
export { Gpt2Body } from './gpt2.ts'
export {
  CausalLmHead,
  continuesText,
  EmbeddingHead,
  Head,
  type HeadEntry,
  type HeadOptions,
  HeadSet,
  type HeadType,
  headOptionsSchema,
  headTypes,
  LanguageHead,
  MaskedLmHead,
  MultipleChoiceHead,
  ReplacedTokenDetectionHead,
  RewardHead,
  RowClassifier,
  SentencePretrainingHead,
  Seq2SeqLmHead,
  TokenClassifier,
  unitRows,
  writesText,
} from './heads/index.ts'
export {
  Body,
  type BodyFacts,
  type BodyInputs,
  type BodyOutputs,
  contextLength,
  defineModel,
  firstTokensOf,
  type ModelDefinition,
  type ReadTokens,
  type SharedKeys,
} from './model.ts'
export {
  buildModel,
  headEntry,
  headsOf,
  joinHeads,
  Model,
  type ModelOutputs,
  modelKeys,
  withHead,
} from './model-with-head.ts'
export { ModernBertBody } from './modernbert.ts'
export {
  expectFinite,
  expectFiniteBlocks,
  quantizationOf,
  quantizeToBlocks,
  quantizeWeights,
  withQuantizedValues,
} from './quantize-weights.ts'
export { currentLayerWeights, type LayerPass, type LayerWeights, withLayerWeights } from './recompute.ts'
export { RouterBalance, withRouterBalance } from './router-balance.ts'
export { RelativeStack, T5Body } from './t5.ts'
