// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

import type { NewModel } from './models.ts'
import type { ObjectiveInput } from './objectives.ts'
import type { RunSettings } from './run.ts'
import type { VariantChoice } from './variants.ts'

/** Settings of a pretraining run, whatever the model. */
export interface PretrainSettings extends RunSettings {
  /** Peak learning rate (default: the optimizer's). */
  learningRate?: number | undefined
  /**
   * Initial output bias: zero, or frequencies (log unigram frequency of the training data, which helps
   * short runs). Default: `zero`.
   */
  outputBias?: 'zero' | 'frequencies' | undefined
  distillation?:
    | {
        /** Model to learn from (default: none). */
        teacher?: string | undefined
        /** Its share of the loss (default: 0.5). */
        weight?: number | undefined
        /** Divisor of all logits (default: 2). */
        temperature?: number | undefined
        /** Measure (default: forward-kl). */
        divergence?: 'forward-kl' | 'reverse-kl' | 'jensen-shannon' | undefined
        /** Its precision (default: the run's). */
        precision?: 'float32' | 'bfloat16' | 'int8' | 'nf4' | 'nf4-double' | undefined
      }
    | undefined
  /** Folders of token shards, from `tokenizer encode`. */
  data: string | readonly string[]
  /** Sampling weight of each data folder (default: by tokens). */
  dataWeights?: readonly number[] | undefined
  /** Folder of the tokenizer that the shards were encoded with. */
  tokenizer: string
  /** Tokens per example (default: model limit, at most 512). */
  maxLength?: number | undefined
  /** Validation examples per evaluation (0 disables). Default: `256`. */
  validationExamples?: number | undefined
  harness?:
    | {
        /**
         * Benchmarks that each evaluation scores, by name (arc_easy, arc_challenge, hellaswag, piqa,
         * winogrande, boolq, openbookqa, mmlu, gsm8k, ifeval, lambada), or task files.
         */
        tasks?: readonly string[] | undefined
        /** Folder with a folder for each benchmark, or hub: to download them. */
        data?: string | undefined
        /** First examples of each task to evaluate, or of each group of a task with groups (default: all). */
        limit?: number | undefined
        /** Few-shot examples before each prompt (default: as the task says). */
        fewShot?: number | undefined
        /**
         * Seed of the choice of few-shot examples; the default is lm-eval's, and gives its examples. Default:
         * `1234`.
         */
        fewShotSeed?: number | undefined
      }
    | undefined
  /** Prompts of samples (default: validation text). */
  prompts?: readonly string[] | undefined
}

/** The recipe of a pretraining run: of a new `model`, or of a `base` that is trained further. */
export type PretrainInput = PretrainSettings & {
  command?: 'pretrain' | undefined
  objective: ObjectiveInput
} & (
    | {
        model: NewModel
        base?: undefined
        variant?: undefined
        adapter?: undefined
      }
    | ({
        /** Model to continue pretraining from, instead of a new one: a folder, a .gguf file, a run or a Hub id. */
        base: string
        model?: {
          type?: undefined
          /** Settings of the architecture, over the preset's. */
          config?: { readonly [setting: string]: unknown } | undefined
        }
      } & (Exclude<VariantChoice, { variant: 'feature-based' }> | { variant?: undefined; adapter?: undefined }))
  )
