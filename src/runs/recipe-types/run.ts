// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

import type { OptimizerInput, ScheduleInput } from './optimization.ts'

/** Settings that runs of all kinds have alike. */
export interface RunSettings {
  /**
   * Packages or files to import first, which register their own objectives, tasks, models, variants or
   * metrics.
   */
  use?: string | readonly string[] | undefined
  /** File of the recipe, in which a resumed run finds its functions. */
  recipeFile?: string | undefined
  /** Functions of a recipe that are called with every event of the run, one after the other. */
  callbacks?: readonly unknown[] | undefined
  /** Function of a recipe that ends the run after an evaluation by returning true. */
  stopWhen?: unknown
  /**
   * Maximum seconds of a call of a function of the recipe: a longer one is an error, or reported if it
   * cannot be ended. Default: `60`.
   */
  callbackSeconds?: number | undefined
  /** Random seed for data order, masking, dropout and weight initialisation. Default: `0`. */
  seed?: number | undefined
  batch?:
    | {
        /** Examples per step. */
        sequences?: number | undefined
        /** Minimum tokens per step, instead of sequences. */
        tokens?: number | undefined
        /**
         * Tokens per forward pass: less memory with fewer; changes the loss by rounding only, dropout included.
         * Default: `8192`.
         */
        microTokens?: number | undefined
        /** Pad examples to one length even if the model can do without. Default: `false`. */
        padded?: boolean | undefined
      }
    | undefined
  budget?:
    | {
        /** Stop after this many steps. */
        steps?: number | undefined
        /** Stop after this many tokens. */
        tokens?: number | undefined
        /** Stop after this many epochs. */
        epochs?: number | undefined
        /** Stop after this many minutes; such a run is not reproducible. */
        minutes?: number | undefined
      }
    | undefined
  /** Default: `{"type":"adamw"}`. */
  optimizer?: OptimizerInput | undefined
  /**
   * Training state to shard across processes: none, the optimizer state (ZeRO-1), gradients too (ZeRO-2),
   * or all weights too, frozen ones included (ZeRO-3). Default: `none`.
   */
  shard?: 'none' | 'optimizer' | 'gradients' | 'parameters' | undefined
  /** Default: `{"type":"linear","warmupShare":0.05}`. */
  schedule?: ScheduleInput | undefined
  /** Reduce the schedule's learning rate when evaluations do not improve `keep.best` (reduce on plateau). */
  plateau?:
    | {
        /** Evaluations without an improvement before the rate is reduced. Default: `2`. */
        patience?: number | undefined
        /** Factor of the learning rate at each reduction. Default: `0.5`. */
        factor?: number | undefined
        /** Smallest product of all factors. Default: `0.01`. */
        floor?: number | undefined
      }
    | undefined
  /** Clip gradients to this global norm (0: no clipping). Default: `1`. */
  maxGradientNorm?: number | undefined
  /**
   * Update each parameter within the backward pass and free its gradient: less memory; two-pass computes
   * each batch twice, to clip and to change nothing where a gradient is not finite. Default: `none`.
   */
  updateInBackward?: 'none' | 'one-pass' | 'two-pass' | undefined
  /** Average of the weights over the steps (EMA or SWA), which is then exported. */
  average?:
    | {
        /**
         * Exponential (EMA), or mean: all weights alike (stochastic weight averaging, SWA). Default:
         * `exponential`.
         */
        method?: 'exponential' | 'mean' | undefined
        /** Decay of the exponential average per step (default: 0.999). */
        decay?: number | undefined
        /**
         * Decay of (1 + updates) / (10 + updates) while below `decay`, so that early weights fade. Default:
         * `false`.
         */
        warmup?: boolean | undefined
        /** Number of steps before the first weights that count. Default: `0`. */
        startStep?: number | undefined
        /** Steps between the weights that count. Default: `1`. */
        interval?: number | undefined
      }
    | undefined
  /**
   * Dtype for forward and backward; the optimizer keeps float32 master weights. float16, with loss
   * scaling, is not for the CPU. Default: `float32`.
   */
  precision?: 'float32' | 'bfloat16' | 'float16' | undefined
  /** Dynamic loss scaling of `precision` float16, as GradScaler of PyTorch. */
  lossScale?:
    | {
        /** Factor of the loss in the first step. Default: `65536`. */
        initial?: number | undefined
        /**
         * Steps in a row without an overflow after which the factor doubles; it halves at each overflow.
         * Default: `2000`.
         */
        growthInterval?: number | undefined
      }
    | undefined
  /**
   * Layers whose activations are recomputed in the backward pass (gradient checkpointing): less memory,
   * more time. Default: `none`.
   */
  recompute?: 'none' | 'all' | number | undefined
  /** Bytes that tensors may take; micro-batches are halved, then layers recomputed, to stay within it. */
  memoryBudget?: number | undefined
  /**
   * The same bits in each run on a GPU: slower kernels, and an error where an operator has none; the CPU
   * needs none. Default: `false`.
   */
  deterministic?: boolean | undefined
  evaluate?:
    | {
        /** Evaluate after this many steps. */
        steps?: number | undefined
        /** Evaluate after this many tokens. */
        tokens?: number | undefined
        /** Evaluate after this many minutes. */
        minutes?: number | undefined
      }
    | undefined
  /** Besides the checkpoint at the end; an empty object disables it. Default: `{"minutes":5,"epochs":1}`. */
  checkpoint?:
    | {
        /** Write a checkpoint after this many steps. */
        steps?: number | undefined
        /** Write a checkpoint after this many tokens. */
        tokens?: number | undefined
        /** Write a checkpoint after this many minutes. */
        minutes?: number | undefined
        /**
         * Write a checkpoint at the end of every this many epochs, unless the last one is less than 60 seconds
         * old.
         */
        epochs?: number | undefined
      }
    | undefined
  sample?:
    | {
        /** Generate samples after this many steps. */
        steps?: number | undefined
        /** Generate samples after this many tokens. */
        tokens?: number | undefined
        /** Generate samples after this many minutes. */
        minutes?: number | undefined
      }
    | undefined
  keep?:
    | {
        /** Number of newest checkpoints to keep. Default: `2`. */
        last?: number | undefined
        /** Also keep each checkpoint whose step is a multiple of this. */
        every?: number | undefined
        /** Metric by which the best checkpoint is kept, and exported at the end. */
        best?: string | undefined
      }
    | undefined
  /** Stop after this many evaluations in a row without an improvement of `keep.best`. */
  patience?: number | undefined
  /**
   * Reaction to a loss or gradient that is not finite: skip the batch, restore the last checkpoint and
   * skip it, or stop. Default: `stop`.
   */
  onNonFinite?: 'skip' | 'roll-back' | 'stop' | undefined
  /** Reaction to a loss far above its recent mean: record it, or skip the batch too. Default: `note`. */
  onSpike?: 'note' | 'skip' | undefined
  /** Record the gradient norm of each layer in every step that is a multiple of this. */
  gradientNorms?: number | undefined
  /**
   * Adapters that stay frozen under the trained one, lowest first: folders or runs, such as a language
   * adapter (default: none).
   */
  stack?: readonly string[] | undefined
  /**
   * Quantisation of the frozen base: bfloat16, int8, nf4 (4 bits) or nf4-double (its scales in 8 bits)
   * take less memory and round the weights. Default: `float32`.
   */
  frozenWeights?: 'float32' | 'bfloat16' | 'int8' | 'nf4' | 'nf4-double' | undefined
  /** Folder of the run. */
  out: string
  /** Device to train on: cpu, cuda or cuda:0. Default: `cpu`. */
  device?: string | undefined
  /** Price of the machine per hour, for the run card. */
  pricePerHour?: number | undefined
}
