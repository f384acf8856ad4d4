// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

import type { NewModel } from './models.ts'
import type { ObjectiveInput } from './objectives.ts'

/** Settings of a pretraining run, whatever the model. */
export interface PretrainSettings {
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
  /** Peak learning rate (default: the optimizer's). */
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
  /**
   * Initial output bias: zero, or frequencies (log unigram frequency of the training data, which helps
   * short runs). Default: `zero`.
   */
  outputBias?: 'zero' | 'frequencies'
  /** Folders of token shards, from `tokenizer encode`. */
  data: string | readonly string[]
  /** Sampling weight of each data folder (default: by tokens). */
  dataWeights?: readonly number[]
  /** Folder of the tokenizer that the shards were encoded with. */
  tokenizer: string
  /** Folder of the run. */
  out: string
  /** Tokens per example (default: model limit, at most 512). */
  maxLength?: number
  /** Validation examples per evaluation (0 disables). Default: `256`. */
  validationExamples?: number
  harness?: {
    /**
     * Benchmarks that each evaluation scores, by name (arc_easy, arc_challenge, hellaswag, piqa,
     * winogrande, boolq, openbookqa, mmlu, gsm8k, ifeval, lambada), or task files.
     */
    tasks?: readonly string[]
    /** Folder with a folder for each benchmark. */
    data?: string
    /** First examples of each task to evaluate, or of each group of a task with groups (default: all). */
    limit?: number
    /** Few-shot examples before each prompt (default: as the task says). */
    fewShot?: number
    /**
     * Seed of the choice of few-shot examples; the default is lm-eval's, and gives its examples. Default:
     * `1234`.
     */
    fewShotSeed?: number
  }
  /** Prompts of samples (default: validation text). */
  prompts?: readonly string[]
  /** Device to train on: cpu, cuda or cuda:0. Default: `cpu`. */
  device?: string
  /** Price of the machine per hour, for the run card. */
  pricePerHour?: number
}

/** The recipe of a pretraining run: of a new `model`, or of a `base` that is trained further. */
export type PretrainInput = PretrainSettings & {
  command?: 'pretrain'
  objective: ObjectiveInput
} & (
    | {
        model: NewModel
        base?: undefined
      }
    | {
        /** Model to continue pretraining from, instead of a new one: a folder, a .gguf file or a Hub id. */
        base: string
        model?: {
          type?: undefined
          /** Settings of the architecture, over the preset's. */
          config?: { readonly [setting: string]: unknown }
        }
      }
  )
