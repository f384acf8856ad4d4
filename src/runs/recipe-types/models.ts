// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

import type { AlbertConfig } from './model-albert.ts'
import type { BartConfig } from './model-bart.ts'
import type { BertConfig } from './model-bert.ts'
import type { CamembertConfig } from './model-camembert.ts'
import type { DebertaV2Config } from './model-deberta-v2.ts'
import type { DistilbertConfig } from './model-distilbert.ts'
import type { ElectraConfig } from './model-electra.ts'
import type { GemmaConfig } from './model-gemma.ts'
import type { Gemma2Config } from './model-gemma2.ts'
import type { Gemma3Config } from './model-gemma3.ts'
import type { GptNeoxConfig } from './model-gpt-neox.ts'
import type { Gpt2Config } from './model-gpt2.ts'
import type { LlamaConfig } from './model-llama.ts'
import type { MbartConfig } from './model-mbart.ts'
import type { MistralConfig } from './model-mistral.ts'
import type { MixtralConfig } from './model-mixtral.ts'
import type { ModernbertConfig } from './model-modernbert.ts'
import type { MpnetConfig } from './model-mpnet.ts'
import type { Mt5Config } from './model-mt5.ts'
import type { Olmo2Config } from './model-olmo2.ts'
import type { Phi3Config } from './model-phi3.ts'
import type { Qwen2Config } from './model-qwen2.ts'
import type { Qwen3Config } from './model-qwen3.ts'
import type { Qwen3MoeConfig } from './model-qwen3-moe.ts'
import type { RobertaConfig } from './model-roberta.ts'
import type { Smollm3Config } from './model-smollm3.ts'
import type { T5Config } from './model-t5.ts'
import type { XlmRobertaConfig } from './model-xlm-roberta.ts'

/** Settings of `model.config`, by `model.type`. */
export interface ModelConfigs {
  albert: AlbertConfig
  bart: BartConfig
  bert: BertConfig
  camembert: CamembertConfig
  'deberta-v2': DebertaV2Config
  distilbert: DistilbertConfig
  electra: ElectraConfig
  gemma: GemmaConfig
  gemma2: Gemma2Config
  gemma3: Gemma3Config
  gpt2: Gpt2Config
  'gpt-neox': GptNeoxConfig
  llama: LlamaConfig
  mbart: MbartConfig
  mistral: MistralConfig
  mixtral: MixtralConfig
  modernbert: ModernbertConfig
  mpnet: MpnetConfig
  mt5: Mt5Config
  olmo2: Olmo2Config
  phi3: Phi3Config
  qwen2: Qwen2Config
  qwen3: Qwen3Config
  'qwen3-moe': Qwen3MoeConfig
  roberta: RobertaConfig
  smollm3: Smollm3Config
  t5: T5Config
  'xlm-roberta': XlmRobertaConfig
}

/** Names of presets, by `model.type`. */
export interface ModelPresets {
  albert: 'test' | 'base' | 'large' | 'xlarge' | 'xxlarge'
  bart: 'test' | 'base' | 'large'
  bert: 'test' | 'tiny' | 'mini' | 'small' | 'medium' | 'base' | 'large'
  camembert: 'test' | 'base' | 'large'
  'deberta-v2': 'test' | 'v3-xsmall' | 'v3-small' | 'v3-base' | 'v3-large'
  distilbert: 'test' | 'base'
  electra: 'test' | 'small' | 'base' | 'large'
  gemma: 'test' | '2b' | '7b'
  gemma2: 'test' | '2b' | '9b' | '27b'
  gemma3: 'test' | '270m' | '1b'
  gpt2: 'test' | '1m' | '10m' | '30m' | 'small' | 'medium' | 'large' | 'xl'
  'gpt-neox': 'test' | 'pythia-70m' | 'pythia-160m' | 'pythia-410m' | 'pythia-1b' | '20b'
  llama: 'test' | 'smollm2-135m' | 'tinyllama-1.1b' | 'llama-2-7b'
  mbart: 'test' | 'large-cc25' | 'large-50'
  mistral: 'test' | '7b'
  mixtral: 'test' | '8x7b' | '8x22b'
  modernbert: 'test' | 'base' | 'large'
  mpnet: 'test' | 'base'
  mt5: 'test' | 'small' | 'base' | 'large'
  olmo2: 'test' | '1b' | '7b'
  phi3: 'test' | 'mini' | 'phi-4'
  qwen2: 'test' | '0.5b' | '1.5b'
  qwen3: 'test' | '0.6b'
  'qwen3-moe': 'test' | '30b-a3b' | '235b-a22b'
  roberta: 'test' | 'base' | 'large'
  smollm3: 'test' | '3b'
  t5: 'test' | 'small' | 'base' | 'large' | 'v1.1-small' | 'v1.1-base' | 'v1.1-large'
  'xlm-roberta': 'test' | 'base' | 'large'
}

/** A new model: an architecture with a preset, a depth or its own settings. */
export type NewModel = {
  [Type in keyof ModelConfigs]: {
    /** architecture. */
    type: Type
    /** Size from the literature, such as base or tiny. */
    preset?: (Type extends keyof ModelPresets ? ModelPresets[Type] : string) | undefined
    /** Number of layers; sets width, heads, learning rate, batch and budget by rule, unless they are set. */
    depth?: number | undefined
    /** Settings of the architecture, over the preset's. */
    config?: ModelConfigs[Type] | undefined
  }
}[keyof ModelConfigs]
