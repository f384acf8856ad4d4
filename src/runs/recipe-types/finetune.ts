// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

import type { OptimizerInput, ScheduleInput } from './optimization.ts'
import type { TaskChoice } from './tasks.ts'
import type { VariantChoice } from './variants.ts'

/** Settings of a fine-tuning run, whatever task and variant. */
export interface FinetuneSettings {
  /**
   * Packages or files to import first, which register their own objectives, tasks, models, variants or
   * metrics.
   */
  use?: string | readonly string[]
  /** File of the recipe, in which a resumed run finds its functions. */
  recipeFile?: string
  /** Functions of a recipe that are called with every event of the run, one after the other. */
  callbacks?: readonly unknown[]
  /** Function of a recipe that ends the run after an evaluation by returning true. */
  stopWhen?: unknown
  /**
   * Maximum seconds of a call of a function of the recipe: a longer one is an error, or reported if it
   * cannot be ended. Default: `60`.
   */
  callbackSeconds?: number
  /** Random seed for data order, masking, dropout and weight initialisation. Default: `0`. */
  seed?: number
  batch?: {
    /** Examples per step. */
    sequences?: number
    /** Minimum tokens per step, instead of sequences. */
    tokens?: number
    /**
     * Tokens per forward pass: less memory with fewer; changes the loss by rounding only, dropout included.
     * Default: `8192`.
     */
    microTokens?: number
    /** Pad examples to one length even if the model can do without. Default: `false`. */
    padded?: boolean
  }
  budget?: {
    /** Stop after this many steps. */
    steps?: number
    /** Stop after this many tokens. */
    tokens?: number
    /** Stop after this many epochs. */
    epochs?: number
    /** Stop after this many minutes; such a run is not reproducible. */
    minutes?: number
  }
  /** Default: `{"type":"adamw"}`. */
  optimizer?: OptimizerInput
  /**
   * Training state to shard across processes: none, the optimizer state (ZeRO-1), or gradients too
   * (ZeRO-2). Default: `none`.
   */
  shard?: 'none' | 'optimizer' | 'gradients'
  /** Peak learning rate (default: the variant's). */
  learningRate?: number
  /** Default: `{"type":"linear","warmupShare":0.05}`. */
  schedule?: ScheduleInput
  /** Reduce the schedule's learning rate when evaluations do not improve `keep.best` (reduce on plateau). */
  plateau?: {
    /** Evaluations without an improvement before the rate is reduced. Default: `2`. */
    patience?: number
    /** Factor of the learning rate at each reduction. Default: `0.5`. */
    factor?: number
    /** Smallest product of all factors. Default: `0.01`. */
    floor?: number
  }
  /** Clip gradients to this global norm. Default: `1`. */
  maxGradientNorm?: number
  /** Average of the weights over the steps (EMA or SWA), which is then exported. */
  average?: {
    /**
     * Exponential (EMA), or mean: all weights alike (stochastic weight averaging, SWA). Default:
     * `exponential`.
     */
    method?: 'exponential' | 'mean'
    /** Decay of the exponential average per step (default: 0.999). */
    decay?: number
    /**
     * Decay of (1 + updates) / (10 + updates) while below `decay`, so that early weights fade. Default:
     * `false`.
     */
    warmup?: boolean
    /** Number of steps before the first weights that count. Default: `0`. */
    startStep?: number
    /** Steps between the weights that count. Default: `1`. */
    interval?: number
  }
  /** Dtype for forward and backward; the optimizer keeps float32 master weights. Default: `float32`. */
  precision?: 'float32' | 'bfloat16'
  /**
   * Layers whose activations are recomputed in the backward pass (gradient checkpointing): less memory,
   * more time. Default: `none`.
   */
  recompute?: 'none' | 'all' | number
  /** Bytes that tensors may take; micro-batches are halved, then layers recomputed, to stay within it. */
  memoryBudget?: number
  evaluate?: {
    /** Evaluate after this many steps. */
    steps?: number
    /** Evaluate after this many tokens. */
    tokens?: number
    /** Evaluate after this many minutes. */
    minutes?: number
  }
  /** Besides the checkpoint at the end; an empty object disables it. Default: `{"minutes":5,"epochs":1}`. */
  checkpoint?: {
    /** Write a checkpoint after this many steps. */
    steps?: number
    /** Write a checkpoint after this many tokens. */
    tokens?: number
    /** Write a checkpoint after this many minutes. */
    minutes?: number
    /**
     * Write a checkpoint at the end of every this many epochs, unless the last one is less than 60 seconds
     * old.
     */
    epochs?: number
  }
  sample?: {
    /** Generate samples after this many steps. */
    steps?: number
    /** Generate samples after this many tokens. */
    tokens?: number
    /** Generate samples after this many minutes. */
    minutes?: number
  }
  keep?: {
    /** Number of newest checkpoints to keep. Default: `2`. */
    last?: number
    /** Also keep each checkpoint whose step is a multiple of this. */
    every?: number
    /** Metric by which the best checkpoint is kept, and exported at the end. */
    best?: string
  }
  /** Stop after this many evaluations in a row without an improvement of `keep.best`. */
  patience?: number
  /**
   * Reaction to a loss or gradient that is not finite: skip the batch, restore the last checkpoint and
   * skip it, or stop. Default: `stop`.
   */
  onNonFinite?: 'skip' | 'roll-back' | 'stop'
  /** Reaction to a loss far above its recent mean: record it, or skip the batch too. Default: `note`. */
  onSpike?: 'note' | 'skip'
  /** Record the gradient norm of each layer in every step that is a multiple of this. */
  gradientNorms?: number
  /** Pretrained model: a folder, a .gguf file, a run or a Hub id. */
  base: string
  /** Known data set of the task, whose columns need not be named. */
  dataset?: string
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
            name?: string
            /** Relative share of the examples (default: by size). */
            weight?: number
            /** Maximum number of examples, chosen at random by the seed. */
            maxExamples?: number
            /** Maximum number of epochs over the set in the whole run, after which the others share its part. */
            maxEpochs?: number
            /** Its validation data (default: a share of it). */
            validation?: string
            /** Share of it to validate on, if it has no `validation`. */
            validationShare?: number
            /** Known data set of the task, whose columns need not be named. */
            dataset?: string
            /** Settings of reading it, such as columns, over those of the task. */
            settings?: { readonly [name: string]: unknown }
          }
      )[]
  /** Several data sets: shares by size to the power of 1/temperature: 1 by size, larger values more equal. */
  dataTemperature?: number
  /** File or folder with validation data (default: a share of `data`). */
  validation?: string
  /**
   * Approximate share of `data` to validate on, if there is no `validation`: a hash decides on each
   * record. Default: `0.1`.
   */
  validationShare?: number
  /** Splits of `data` for cross-validation and repeated evaluation, instead of by a hash of each record. */
  split?: {
    /** Cross-validation: number of parts that `data` is divided into. */
    folds?: number
    /** Cross-validation: the part that validates, from 0. */
    fold?: number
    /** Number of the random split of `data`, from 0, with equal shares of each label in both parts. */
    repeat?: number
  }
  /**
   * Approximate share of the training records to train on; a larger share has all records of a smaller
   * one. Default: `1`.
   */
  share?: number
  /**
   * Quantisation of the frozen base: bfloat16, int8, nf4 (4 bits) or nf4-double (its scales in 8 bits)
   * take less memory and round the weights. Default: `float32`.
   */
  frozenWeights?: 'float32' | 'bfloat16' | 'int8' | 'nf4' | 'nf4-double'
  /** NEFTune: size of the noise on token embeddings in training; 5 to 15 are usual (default: no noise). */
  neftuneAlpha?: number
  /**
   * Initialise the base randomly instead of loading its weights: a baseline that shows what pretraining
   * brings. Default: `false`.
   */
  randomInit?: boolean
  /**
   * Initialise a new head although the base has one, such as that of another task with other labels.
   * Default: `false`.
   */
  newHead?: boolean
  /**
   * Initial bias of a new head: the frequencies of the labels or the mean of the targets, instead of
   * zero. Default: `true`.
   */
  priorBias?: boolean
  /** Also score the base before fine-tuning, as a reference beside the final scores. Default: `true`. */
  untrainedBaseline?: boolean
  /** Folder of the tokenizer (default: the base's). */
  tokenizer?: string
  /** Folder of the run. */
  out: string
  /** Function of a recipe that computes the loss in place of the task's. */
  loss?: unknown
  /** Function of a recipe that reads `data` and `validation`: rows with the columns of the task. */
  read?: unknown
  /** Functions of a recipe that score a prediction for a record; their mean is a metric. */
  metrics?: readonly unknown[]
  /**
   * Maximum tokens per example (default: model limit, at most 512, or 1024 for tasks that generate text,
   * minus virtual tokens).
   */
  maxLength?: number
  /**
   * Read and encode in other threads, and keep encoded examples on disk: auto (data of 32 MB or more),
   * on, or off (in memory). Default: `auto`.
   */
  exampleCache?: 'auto' | 'on' | 'off'
  /**
   * Threads that encode for `exampleCache`, beside the one that reads; 0: that one encodes too. Default:
   * `1`.
   */
  workers?: number
  /** Validation records that tasks which generate text answer. */
  answers?: {
    /** Answers to generate in each evaluation during training; perplexity uses all records. Default: `32`. */
    duringTraining?: number
    /** Answers to generate at the end, by specialist and base. Default: `100`. */
    atEnd?: number
    /** Answers before and after training to keep in samples.json. Default: `20`. */
    samples?: number
  }
  /** Device to train on: cpu, cuda or cuda:0. Default: `cpu`. */
  device?: string
  /** Price of the machine per hour, for the run card. */
  pricePerHour?: number
}

/** The recipe of a fine-tuning run. */
export type FinetuneInput = FinetuneSettings &
  TaskChoice &
  (VariantChoice | { variant?: undefined; adapter?: undefined })
