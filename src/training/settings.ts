// The settings of the training loop, whatever it trains.
import { z } from 'zod'
import { averageSchema, optimizerSchema, scheduleSchema } from '../optim/index.ts'
import { lossScaleSchema } from './loop-state.ts'

const count = () => z.int().positive()

interface Interval {
  steps?: number
  tokens?: number
  minutes?: number
}

/** Seconds after a checkpoint in which the end of an epoch writes no other. */
export const leastSecondsOfEpoch = 60

/** An interval in steps, tokens or minutes; with several of them, whichever ends first. */
const every = (what: string, interval: Interval = {}) =>
  z
    .strictObject({
      steps: count().optional().describe(`${what} after this many steps`),
      tokens: count().optional().describe(`${what} after this many tokens`),
      minutes: z.number().positive().optional().describe(`${what} after this many minutes`),
    })
    .default(interval)

/** The schema of the length of a run: the limit that is reached first ends it. */
export const budgetSchema = z.strictObject({
  steps: count().optional().describe('stop after this many steps'),
  tokens: count().optional().describe('stop after this many tokens'),
  epochs: z.number().positive().optional().describe('stop after this many epochs'),
  minutes: z.number().positive().optional().describe('stop after this many minutes; such a run is not reproducible'),
})

/** The schema of the settings that every kind of run has. */
export const trainingSchema = z.strictObject({
  use: z
    .union([z.string().transform((name) => [name]), z.array(z.string())])
    .default([])
    .describe(
      'packages or files to import first, which register their own objectives, tasks, models, variants or metrics',
    ),
  recipeFile: z
    .string()
    .optional()
    .describe('file of the recipe, in which a resumed run finds its functions')
    .meta({ flag: false }),
  callbacks: z
    .array(z.unknown())
    .default([])
    .describe('functions of a recipe that are called with every event of the run, one after the other')
    .meta({ flag: false }),
  stopWhen: z
    .unknown()
    .optional()
    .describe('function of a recipe that ends the run after an evaluation by returning true')
    .meta({ flag: false }),
  callbackSeconds: z
    .number()
    .positive()
    .default(60)
    .describe(
      'maximum seconds of a call of a function of the recipe: a longer one is an error, or reported if it cannot be ended',
    ),
  seed: z.int().default(0).describe('random seed for data order, masking, dropout and weight initialisation'),
  batch: z
    .strictObject({
      sequences: count().optional().describe('examples per step'),
      tokens: count().optional().describe('minimum tokens per step, instead of sequences'),
      microTokens: count()
        .default(8192)
        .describe(
          'tokens per forward pass: less memory with fewer; changes the loss by rounding only, dropout included',
        ),
      padded: z.boolean().default(false).describe('pad examples to one length even if the model can do without'),
    })
    .prefault({}),
  budget: budgetSchema.prefault({}),
  optimizer: optimizerSchema.prefault({ type: 'adamw' }),
  shard: z
    .enum(['none', 'optimizer', 'gradients', 'parameters'])
    .default('none')
    .describe(
      'training state to shard across processes: none, the optimizer state (ZeRO-1), gradients too (ZeRO-2), or all weights too, frozen ones included (ZeRO-3)',
    ),
  learningRate: z.number().positive().optional().describe("peak learning rate (default: the optimizer's)"),
  schedule: scheduleSchema.prefault({ type: 'linear', warmupShare: 0.05 }),
  plateau: z
    .strictObject({
      patience: z.int().min(0).default(2).describe('evaluations without an improvement before the rate is reduced'),
      factor: z.number().gt(0).lt(1).default(0.5).describe('factor of the learning rate at each reduction'),
      floor: z.number().min(0).lt(1).default(0.01).describe('smallest product of all factors'),
    })
    .optional()
    .describe("reduce the schedule's learning rate when evaluations do not improve `keep.best` (reduce on plateau)"),
  maxGradientNorm: z.number().nonnegative().default(1).describe('clip gradients to this global norm (0: no clipping)'),
  updateInBackward: z
    .enum(['none', 'one-pass', 'two-pass'])
    .default('none')
    .describe(
      'update each parameter within the backward pass and free its gradient: less memory; two-pass computes each batch twice, to clip and to change nothing where a gradient is not finite',
    ),
  average: averageSchema
    .optional()
    .describe('average of the weights over the steps (EMA or SWA), which is then exported'),
  precision: z
    .enum(['float32', 'bfloat16', 'float16'])
    .default('float32')
    .describe(
      'dtype for forward and backward; the optimizer keeps float32 master weights. float16, with loss scaling, is not for the CPU',
    ),
  lossScale: lossScaleSchema
    .optional()
    .describe('dynamic loss scaling of `precision` float16, as GradScaler of PyTorch'),
  recompute: z
    .union([z.enum(['none', 'all']), z.int().nonnegative()])
    .default('none')
    .describe(
      'layers whose activations are recomputed in the backward pass (gradient checkpointing): less memory, more time',
    ),
  memoryBudget: count()
    .optional()
    .describe('bytes that tensors may take; micro-batches are halved, then layers recomputed, to stay within it'),
  deterministic: z
    .boolean()
    .default(false)
    .describe(
      'the same bits in each run on a GPU: slower kernels, and an error where an operator has none; the CPU needs none',
    ),
  evaluate: every('evaluate'),
  checkpoint: every('write a checkpoint')
    .unwrap()
    .extend({
      epochs: count()
        .optional()
        .describe(
          `write a checkpoint at the end of every this many epochs, unless the last one is less than ${leastSecondsOfEpoch} seconds old`,
        ),
    })
    .default({ minutes: 5, epochs: 1 })
    .describe('besides the checkpoint at the end; an empty object disables it'),
  sample: every('generate samples'),
  keep: z
    .strictObject({
      last: count().default(2).describe('number of newest checkpoints to keep'),
      every: count().optional().describe('also keep each checkpoint whose step is a multiple of this'),
      best: z.string().optional().describe('metric by which the best checkpoint is kept, and exported at the end'),
    })
    .prefault({}),
  patience: count()
    .optional()
    .describe('stop after this many evaluations in a row without an improvement of `keep.best`'),
  onNonFinite: z
    .enum(['skip', 'roll-back', 'stop'])
    .default('stop')
    .describe(
      'reaction to a loss or gradient that is not finite: skip the batch, restore the last checkpoint and skip it, or stop',
    ),
  onSpike: z
    .enum(['note', 'skip'])
    .default('note')
    .describe('reaction to a loss far above its recent mean: record it, or skip the batch too'),
  gradientNorms: count()
    .optional()
    .describe('record the gradient norm of each layer in every step that is a multiple of this'),
})
export type TrainingSettings = z.output<typeof trainingSchema>
export type IntervalSettings = TrainingSettings['evaluate'] & Pick<TrainingSettings['checkpoint'], 'epochs'>
