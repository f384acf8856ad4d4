// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

import type { RunSettings } from './run.ts'
import type { TaskChoice } from './tasks.ts'
import type { VariantChoice } from './variants.ts'

/** Settings of a fine-tuning run, whatever task and variant. */
export interface FinetuneSettings extends RunSettings {
  /** Peak learning rate (default: the variant's). */
  learningRate?: number | undefined
  /** Pretrained model: a folder, a .gguf file, a run or a Hub id. */
  base: string
  /** Known data set of the task, whose columns need not be named. */
  dataset?: string | undefined
  /**
   * File or folder with training data, or several that are mixed: a.jsonl=0.7 b.csv=0.3 (weights,
   * default: by size), each with settings such as a.jsonl,validation=dev.jsonl,maxExamples=1000.
   */
  data:
    | string
    | readonly (
        | string
        | {
            /** File or folder with training data. */
            path: string
            /** Name in scores, such as accuracy/NAME (default: that of the file). */
            name?: string | undefined
            /** Relative share of the examples (default: by size). */
            weight?: number | undefined
            /** Maximum number of examples, chosen at random by the seed. */
            maxExamples?: number | undefined
            /** Maximum number of epochs over the set in the whole run, after which the others share its part. */
            maxEpochs?: number | undefined
            /** Its validation data (default: a share of it). */
            validation?: string | undefined
            /** Share of it to validate on, if it has no `validation`. */
            validationShare?: number | undefined
            /** Known data set of the task, whose columns need not be named. */
            dataset?: string | undefined
            /** Settings of reading it, such as columns, over those of the task. */
            settings?: { readonly [name: string]: unknown } | undefined
          }
      )[]
  /** Several data sets: shares by size to the power of 1/temperature: 1 by size, larger values more equal. */
  dataTemperature?: number | undefined
  /** File or folder with validation data (default: a share of `data`). */
  validation?: string | undefined
  /**
   * Approximate share of `data` to validate on, if there is no `validation`: a hash decides on each
   * record. Default: `0.1`.
   */
  validationShare?: number | undefined
  /** Splits of `data` for cross-validation and repeated evaluation, instead of by a hash of each record. */
  split?:
    | {
        /** Cross-validation: number of parts that `data` is divided into. */
        folds?: number | undefined
        /** Cross-validation: the part that validates, from 0. */
        fold?: number | undefined
        /** Number of the random split of `data`, from 0, with equal shares of each label in both parts. */
        repeat?: number | undefined
      }
    | undefined
  /**
   * Approximate share of the training records to train on; a larger share has all records of a smaller
   * one. Default: `1`.
   */
  share?: number | undefined
  /**
   * Dropout of hidden states and attention weights of the base in training (default: as in its
   * config.json).
   */
  dropout?: number | undefined
  /** NEFTune: size of the noise on token embeddings in training; 5 to 15 are usual (default: no noise). */
  neftuneAlpha?: number | undefined
  /**
   * FGM: distance by which token embeddings are moved against the model in a second pass; 0.01 to 0.1 for
   * small encoders, as longer moves can keep a model from learning (default: one pass).
   */
  fgmEpsilon?: number | undefined
  /**
   * Mixout: share of the elements of trained matrices that are those of the base in a step; 0.5 to 0.9
   * are usual (default: none).
   */
  mixout?: number | undefined
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
  /**
   * Resampling of classes: balanced (all equally often), or sqrt (by the root of their frequency)
   * (default: as in the data).
   */
  resample?: 'balanced' | 'sqrt' | undefined
  /**
   * Initialise the base randomly instead of loading its weights: a baseline that shows what pretraining
   * brings. Default: `false`.
   */
  randomInit?: boolean | undefined
  /**
   * Initialise a new head although the base has one, such as that of another task with other labels.
   * Default: `false`.
   */
  newHead?: boolean | undefined
  /**
   * Initial bias of a new head: the frequencies of the labels or the mean of the targets, instead of
   * zero. Default: `true`.
   */
  priorBias?: boolean | undefined
  /** Also score the base before fine-tuning, as a reference beside the final scores. Default: `true`. */
  untrainedBaseline?: boolean | undefined
  /** Folder of the tokenizer (default: the base's). */
  tokenizer?: string | undefined
  /** Function of a recipe that computes the loss in place of the task's. */
  loss?: unknown
  /** Function of a recipe that reads `data` and `validation`: rows with the columns of the task. */
  read?: unknown
  /** Functions of a recipe that score a prediction for a record; their mean is a metric. */
  metrics?: readonly unknown[] | undefined
  /**
   * Maximum tokens per example (default: model limit, at most 512, or 1024 for tasks that generate text,
   * minus virtual tokens).
   */
  maxLength?: number | undefined
  /**
   * Read and encode in other threads, and keep encoded examples on disk: auto (data of 32 MB or more),
   * on, or off (in memory). Default: `auto`.
   */
  exampleCache?: 'auto' | 'on' | 'off' | undefined
  /**
   * Threads that encode for `exampleCache`, beside the one that reads; 0: that one encodes too. Default:
   * `1`.
   */
  workers?: number | undefined
  /** Validation records that tasks which generate text answer. */
  answers?:
    | {
        /** Answers to generate in each evaluation during training; perplexity uses all records. Default: `32`. */
        duringTraining?: number | undefined
        /** Answers to generate at the end, by specialist and base. Default: `100`. */
        atEnd?: number | undefined
        /** Answers before and after training to keep in samples.json. Default: `20`. */
        samples?: number | undefined
      }
    | undefined
}

/** The recipe of a fine-tuning run. */
export type FinetuneInput = FinetuneSettings &
  TaskChoice &
  (VariantChoice | { variant?: undefined; adapter?: undefined })
