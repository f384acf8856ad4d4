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
        /**
         * Steps of min(0.01, 1/sqrt(step)), times the learning rate, which is then 1 in the paper. Default:
         * `true`.
         */
        relativeStep?: boolean
        /** Steps in proportion to the size of the weights. Default: `true`. */
        scaleParameter?: boolean
        /** Relative steps that begin at 1e-6 and grow. Default: `false`. */
        warmupInit?: boolean
        /** How much of the average update stays each step; 0 keeps none. Default: `0`. */
        beta1?: number
        /** Exponent of the growing average of squares. Default: `-0.8`. */
        decayRate?: number
        /** Largest root mean square of an update. Default: `1`. */
        clipThreshold?: number
        /** Added to squared gradients. Default: `1e-30`. */
        eps?: number
        /** Smallest size of weights that steps are in proportion to. Default: `0.001`. */
        minScale?: number
        /** Share of a weight, times the learning rate, lost a step. Default: `0`. */
        weightDecay?: number
        /** Decay embedding tables too. Default: `true`. */
        decayEmbeddings?: boolean
        /** Decay biases and norm weights too (fewer than two dimensions). Default: `false`. */
        decayVectors?: boolean
        /** Each layer learns at this share of the learning rate of the layer above it. Default: `1`. */
        layerDecay?: number
      }
    | {
        /** AdamW. */
        type: 'adamw'
        /** How much of the average gradient stays each step. Default: `0.9`. */
        beta1?: number
        /** How much of the average squared gradient stays each step. Default: `0.999`. */
        beta2?: number
        /** Added to the root of the average square. Default: `1e-8`. */
        eps?: number
        /** Share of a weight, times the learning rate, lost a step. Default: `0.01`. */
        weightDecay?: number
        /** Decay embedding tables too. Default: `true`. */
        decayEmbeddings?: boolean
        /** Decay biases and norm weights too (fewer than two dimensions). Default: `false`. */
        decayVectors?: boolean
        /** Each layer learns at this share of the learning rate of the layer above it. Default: `1`. */
        layerDecay?: number
      }
    | {
        /** Lion; wants a learning rate 3 to 10 times below that of AdamW. */
        type: 'lion'
        /** Weight of the average against the new gradient in the update. Default: `0.9`. */
        beta1?: number
        /** How much of the average gradient stays each step. Default: `0.99`. */
        beta2?: number
        /** Share of a weight, times the learning rate, lost a step. Default: `0`. */
        weightDecay?: number
        /** Decay embedding tables too. Default: `true`. */
        decayEmbeddings?: boolean
        /** Decay biases and norm weights too (fewer than two dimensions). Default: `false`. */
        decayVectors?: boolean
        /** Each layer learns at this share of the learning rate of the layer above it. Default: `1`. */
        layerDecay?: number
      }
    | {
        /** Muon, with AdamW for embeddings, heads, norms and biases. */
        type: 'muon'
        /** How much of the average gradient stays each step. Default: `0.95`. */
        momentum?: number
        /** Look ahead by one momentum step. Default: `true`. */
        nesterov?: boolean
        /** Steps toward an orthogonal update. Default: `5`. */
        newtonSchulzSteps?: number
        /** Arithmetic of those steps; bfloat16 is faster where the processor has it. Default: `float32`. */
        newtonSchulzDtype?: 'float32' | 'bfloat16'
        /**
         * Match-rms-adamw makes steps as long as AdamW would, so that one learning rate serves both. Default:
         * `match-rms-adamw`.
         */
        adjustment?: 'original' | 'match-rms-adamw'
        /** AdamW's learning rate for the rest, relative to Muon's; about 0.015 with `original`. Default: `1`. */
        otherLearningRateScale?: number
        /** AdamW's average of the gradient. Default: `0.9`. */
        beta1?: number
        /** AdamW's average of the squared gradient. Default: `0.95`. */
        beta2?: number
        /** AdamW's addition to the root of the average square. Default: `1e-8`. */
        eps?: number
        /** Share of a weight, times the learning rate, lost a step. Default: `0.1`. */
        weightDecay?: number
        /** Decay embedding tables too. Default: `true`. */
        decayEmbeddings?: boolean
        /** Decay biases and norm weights too (fewer than two dimensions). Default: `false`. */
        decayVectors?: boolean
        /** Each layer learns at this share of the learning rate of the layer above it. Default: `1`. */
        layerDecay?: number
      }
    | {
        /** Gradient descent with momentum. */
        type: 'sgd'
        /** How much of the last update stays; 0 keeps no state. Default: `0.9`. */
        momentum?: number
        /** Share of each gradient kept out of the momentum. Default: `0`. */
        dampening?: number
        /** Look ahead by one momentum step. Default: `false`. */
        nesterov?: boolean
        /** Share of a weight, times the learning rate, lost a step. Default: `0`. */
        weightDecay?: number
        /** Decay embedding tables too. Default: `true`. */
        decayEmbeddings?: boolean
        /** Decay biases and norm weights too (fewer than two dimensions). Default: `false`. */
        decayVectors?: boolean
        /** Each layer learns at this share of the learning rate of the layer above it. Default: `1`. */
        layerDecay?: number
      }
  /** Peak learning rate (default: the variant's). */
  learningRate?: number
  /** Default: `{"type":"linear","warmupShare":0.05}`. */
  schedule?:
    | {
        /** Stays at the peak after warm-up. */
        type: 'constant'
        /** Steps of linear growth from 0. Default: `0`. */
        warmupSteps?: number
        /** The same as a share of all steps. Default: `0`. */
        warmupShare?: number
      }
    | {
        /** Falls along half a cosine after warm-up. */
        type: 'cosine'
        /** Steps of linear growth from 0. Default: `0`. */
        warmupSteps?: number
        /** The same as a share of all steps. Default: `0`. */
        warmupShare?: number
        /** Share of the learning rate that the decay ends at. Default: `0`. */
        floor?: number
      }
    | {
        /** Falls as one over the square root of the step after warm-up. */
        type: 'inverse-square-root'
        /** Steps of linear growth from 0. Default: `0`. */
        warmupSteps?: number
        /** The same as a share of all steps. Default: `0`. */
        warmupShare?: number
        /** The rate is at half after three times as many steps; the warm-up unless given, or 10,000 without one. */
        timescale?: number
      }
    | {
        /** Falls in a straight line after warm-up. */
        type: 'linear'
        /** Steps of linear growth from 0. Default: `0`. */
        warmupSteps?: number
        /** The same as a share of all steps. Default: `0`. */
        warmupShare?: number
        /** Share of the learning rate that the decay ends at. Default: `0`. */
        floor?: number
      }
    | {
        /** Stays at the peak, then falls at the end. */
        type: 'warmup-stable-decay'
        /** Steps of linear growth from 0. Default: `0`. */
        warmupSteps?: number
        /** The same as a share of all steps. Default: `0`. */
        warmupShare?: number
        /** Steps of decay at the end. */
        decaySteps?: number
        /** The same as a share of all steps; 0.2 unless given. */
        decayShare?: number
        /** How the decay falls. Default: `1-sqrt`. */
        decayShape?: 'linear' | '1-sqrt' | 'cosine'
        /** Share of the learning rate that the decay ends at. Default: `0`. */
        floor?: number
      }
  /** Clip gradients to this global norm. Default: `1`. */
  maxGradientNorm?: number
  /** Exponential moving average of the weights, which is then exported. */
  average?: {
    /** How much of the average stays each step. Default: `0.999`. */
    decay?: number
    /**
     * Start with (1 + updates) / (10 + updates) while that is below `decay`, so that early weights fade.
     * Default: `false`.
     */
    warmup?: boolean
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
  /** Besides the checkpoint at the end; an empty object disables it. Default: `{"minutes":5}`. */
  checkpoint?: {
    /** Write a checkpoint after this many steps. */
    steps?: number
    /** Write a checkpoint after this many tokens. */
    tokens?: number
    /** Write a checkpoint after this many minutes. */
    minutes?: number
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
  /** Pretrained model: a folder, a .gguf file, a run or a Hub id. */
  base: string
  /** Known data set of the task, whose columns need not be named. */
  dataset?: string
  /** File or folder with training data. */
  data: string
  /** File or folder with validation data (default: a share of `data`). */
  validation?: string
  /** Share of `data` to validate on, chosen by hash, if there is no `validation`. Default: `0.1`. */
  validationShare?: number
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
  /**
   * Maximum tokens per example (default: model limit, at most 512, or 1024 for tasks that generate text,
   * minus virtual tokens).
   */
  maxLength?: number
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
