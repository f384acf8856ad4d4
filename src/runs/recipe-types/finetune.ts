// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

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
     * Tokens per forward pass: less memory with fewer; changes the loss only by the dropout masks. Default:
     * `8192`.
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
  optimizer?:
    | {
        /** Adafactor. */
        type: 'adafactor'
        /** Learning rate times min(0.01, 1/sqrt(step)); the paper has a learning rate of 1. Default: `true`. */
        relativeStep?: boolean
        /** Scale updates by the root mean square of the weights. Default: `true`. */
        scaleParameter?: boolean
        /** Warmup of the relative step from 1e-6. Default: `false`. */
        warmupInit?: boolean
        /** Decay of the average update; 0 disables it. Default: `0`. */
        beta1?: number
        /** Exponent of the decay of the average square. Default: `-0.8`. */
        decayRate?: number
        /** Maximum root mean square of an update. Default: `1`. */
        clipThreshold?: number
        /** Added to squared gradients. Default: `1e-30`. */
        eps?: number
        /** Minimum root mean square of the weights for `scaleParameter`. Default: `0.001`. */
        minScale?: number
        /** Weight decay per step, times the learning rate. Default: `0`. */
        weightDecay?: number
        /** Weight decay of embedding tables. Default: `true`. */
        decayEmbeddings?: boolean
        /** Weight decay of biases and norm weights. Default: `false`. */
        decayVectors?: boolean
        /** Learning rate of each layer relative to the layer above it. Default: `1`. */
        layerDecay?: number
      }
    | {
        /** AdamW. */
        type: 'adamw'
        /** Decay of the average gradient. Default: `0.9`. */
        beta1?: number
        /** Decay of the average squared gradient. Default: `0.999`. */
        beta2?: number
        /** Added to the root of the average square, for stability. Default: `1e-8`. */
        eps?: number
        /** Weight decay per step, times the learning rate. Default: `0.01`. */
        weightDecay?: number
        /** Weight decay of embedding tables. Default: `true`. */
        decayEmbeddings?: boolean
        /** Weight decay of biases and norm weights. Default: `false`. */
        decayVectors?: boolean
        /** Learning rate of each layer relative to the layer above it. Default: `1`. */
        layerDecay?: number
      }
    | {
        /** AdamW with averages in 8 bits: a quarter of the memory of its state. */
        type: 'adamw-8bit'
        /** Decay of the average gradient. Default: `0.9`. */
        beta1?: number
        /** Decay of the average squared gradient. Default: `0.999`. */
        beta2?: number
        /** Added to the root of the average square, for stability. Default: `1e-8`. */
        eps?: number
        /** Weight decay per step, times the learning rate. Default: `0.01`. */
        weightDecay?: number
        /** Weight decay of embedding tables. Default: `true`. */
        decayEmbeddings?: boolean
        /** Weight decay of biases and norm weights. Default: `false`. */
        decayVectors?: boolean
        /** Learning rate of each layer relative to the layer above it. Default: `1`. */
        layerDecay?: number
      }
    | {
        /** AdamW that needs no decay: use the schedule constant, with warmup. */
        type: 'adamw-schedule-free'
        /** Place of the gradients between the iterate (0) and the average (1). Default: `0.9`. */
        beta1?: number
        /** Decay of the average squared gradient. Default: `0.999`. */
        beta2?: number
        /** Added to the root of the average square, for stability. Default: `1e-8`. */
        eps?: number
        /** Weight decay per step, times the learning rate. Default: `0`. */
        weightDecay?: number
        /** Weight decay of embedding tables. Default: `true`. */
        decayEmbeddings?: boolean
        /** Weight decay of biases and norm weights. Default: `false`. */
        decayVectors?: boolean
        /** Learning rate of each layer relative to the layer above it. Default: `1`. */
        layerDecay?: number
      }
    | {
        /** AdamW in a low-rank subspace of the gradients of hidden matrices. */
        type: 'galore'
        /** Rank of the subspace. Default: `128`. */
        rank?: number
        /** Steps until the subspace is computed anew. Default: `200`. */
        interval?: number
        /** Factor of the updates of hidden matrices. Default: `0.25`. */
        scale?: number
        /** Decay of the average gradient. Default: `0.9`. */
        beta1?: number
        /** Decay of the average squared gradient. Default: `0.999`. */
        beta2?: number
        /** Added to the root of the average square, for stability. Default: `0.000001`. */
        eps?: number
        /** Weight decay per step, times the learning rate. Default: `0`. */
        weightDecay?: number
        /** Weight decay of embedding tables. Default: `true`. */
        decayEmbeddings?: boolean
        /** Weight decay of biases and norm weights. Default: `false`. */
        decayVectors?: boolean
        /** Learning rate of each layer relative to the layer above it. Default: `1`. */
        layerDecay?: number
      }
    | {
        /** Lion; use a learning rate 3 to 10 times below that of AdamW. */
        type: 'lion'
        /** Weight of the average against the new gradient in the update. Default: `0.9`. */
        beta1?: number
        /** Decay of the average gradient. Default: `0.99`. */
        beta2?: number
        /** Weight decay per step, times the learning rate. Default: `0`. */
        weightDecay?: number
        /** Weight decay of embedding tables. Default: `true`. */
        decayEmbeddings?: boolean
        /** Weight decay of biases and norm weights. Default: `false`. */
        decayVectors?: boolean
        /** Learning rate of each layer relative to the layer above it. Default: `1`. */
        layerDecay?: number
      }
    | {
        /** Muon, with AdamW for embeddings, heads, norms and biases. */
        type: 'muon'
        /** Decay of the average gradient. Default: `0.95`. */
        momentum?: number
        /** Nesterov momentum. Default: `true`. */
        nesterov?: boolean
        /** Newton-Schulz iterations per update. Default: `5`. */
        newtonSchulzSteps?: number
        /** Dtype of the iterations; bfloat16 is faster where the processor supports it. Default: `float32`. */
        newtonSchulzDtype?: 'float32' | 'bfloat16'
        /** Size of the updates: as published, or as large as those of AdamW. Default: `match-rms-adamw`. */
        adjustment?: 'original' | 'match-rms-adamw'
        /** Learning rate of AdamW for the rest, relative to Muon's; about 0.015 with `original`. Default: `1`. */
        otherLearningRateScale?: number
        /** Decay of the average gradient of AdamW. Default: `0.9`. */
        beta1?: number
        /** Decay of the average squared gradient of AdamW. Default: `0.95`. */
        beta2?: number
        /** Added to the root of the average square of AdamW, for stability. Default: `1e-8`. */
        eps?: number
        /** Weight decay per step, times the learning rate. Default: `0.1`. */
        weightDecay?: number
        /** Weight decay of embedding tables. Default: `true`. */
        decayEmbeddings?: boolean
        /** Weight decay of biases and norm weights. Default: `false`. */
        decayVectors?: boolean
        /** Learning rate of each layer relative to the layer above it. Default: `1`. */
        layerDecay?: number
      }
    | {
        /** Gradient descent with momentum. */
        type: 'sgd'
        /** Decay of the accumulated gradient; 0 disables momentum. Default: `0.9`. */
        momentum?: number
        /** Share of each gradient that is left out of the momentum. Default: `0`. */
        dampening?: number
        /** Nesterov momentum. Default: `false`. */
        nesterov?: boolean
        /** Weight decay per step, times the learning rate. Default: `0`. */
        weightDecay?: number
        /** Weight decay of embedding tables. Default: `true`. */
        decayEmbeddings?: boolean
        /** Weight decay of biases and norm weights. Default: `false`. */
        decayVectors?: boolean
        /** Learning rate of each layer relative to the layer above it. Default: `1`. */
        layerDecay?: number
      }
  /**
   * Training state to shard across processes: none, the optimizer state (ZeRO-1), or gradients too
   * (ZeRO-2). Default: `none`.
   */
  shard?: 'none' | 'optimizer' | 'gradients'
  /** Peak learning rate (default: the variant's). */
  learningRate?: number
  /** Default: `{"type":"linear","warmupShare":0.05}`. */
  schedule?:
    | {
        /** Constant after warmup. */
        type: 'constant'
        /** Linear warmup from 0, in steps. Default: `0`. */
        warmupSteps?: number
        /** Linear warmup from 0, as a share of all steps. Default: `0`. */
        warmupShare?: number
      }
    | {
        /** Cosine decay after warmup. */
        type: 'cosine'
        /** Linear warmup from 0, in steps. Default: `0`. */
        warmupSteps?: number
        /** Linear warmup from 0, as a share of all steps. Default: `0`. */
        warmupShare?: number
        /** Learning rate at the end, as a share of the peak. Default: `0`. */
        floor?: number
      }
    | {
        /** Cosine decay in several cycles after warmup. */
        type: 'cosine-restarts'
        /** Number of cycles, each from the peak to the floor. Default: `4`. */
        cycles?: number
        /** Linear warmup from 0, in steps. Default: `0`. */
        warmupSteps?: number
        /** Linear warmup from 0, as a share of all steps. Default: `0`. */
        warmupShare?: number
        /** Learning rate at the end, as a share of the peak. Default: `0`. */
        floor?: number
      }
    | {
        /** Inverse square root decay after warmup. */
        type: 'inverse-square-root'
        /** Linear warmup from 0, in steps. Default: `0`. */
        warmupSteps?: number
        /** Linear warmup from 0, as a share of all steps. Default: `0`. */
        warmupShare?: number
        /**
         * Time scale in steps: the rate halves after three of them (default: warmup steps, or 10,000 without
         * warmup).
         */
        timescale?: number
      }
    | {
        /** Linear decay after warmup. */
        type: 'linear'
        /** Linear warmup from 0, in steps. Default: `0`. */
        warmupSteps?: number
        /** Linear warmup from 0, as a share of all steps. Default: `0`. */
        warmupShare?: number
        /** Learning rate at the end, as a share of the peak. Default: `0`. */
        floor?: number
      }
    | {
        /** Polynomial decay after warmup. */
        type: 'polynomial'
        /** Power of the share of the steps that is left. Default: `2`. */
        power?: number
        /** Linear warmup from 0, in steps. Default: `0`. */
        warmupSteps?: number
        /** Linear warmup from 0, as a share of all steps. Default: `0`. */
        warmupShare?: number
        /** Learning rate at the end, as a share of the peak. Default: `0`. */
        floor?: number
      }
    | {
        /** Constant after warmup, then decay at the end. */
        type: 'warmup-stable-decay'
        /** Linear warmup from 0, in steps. Default: `0`. */
        warmupSteps?: number
        /** Linear warmup from 0, as a share of all steps. Default: `0`. */
        warmupShare?: number
        /** Decay at the end, in steps. */
        decaySteps?: number
        /** Decay at the end, as a share of all steps (default: 0.2). */
        decayShare?: number
        /** Shape of the decay. Default: `1-sqrt`. */
        decayShape?: 'linear' | '1-sqrt' | 'cosine'
        /** Learning rate at the end, as a share of the peak. Default: `0`. */
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
