// What a user may say of a training run, whatever it trains.
import { z } from 'zod'
import { averageSchema, optimizerSchema, scheduleSchema } from '../optim/index.ts'

const count = () => z.int().positive()

/** Something done again and again. Several at once: whichever is due first. */
const every = (what: string) =>
  z
    .strictObject({
      steps: count().optional().describe(`${what} after this many steps`),
      tokens: count().optional().describe(`${what} after this many tokens`),
      minutes: z.number().positive().optional().describe(`${what} after this many minutes`),
    })
    .default({})

export const trainingSchema = z.strictObject({
  seed: z.int().default(0).describe('of the order of data, of masks, of dropout and of fresh weights'),
  batch: z
    .strictObject({
      sequences: count().optional().describe('examples in a step'),
      tokens: count().optional().describe('tokens in a step, at least; in place of sequences'),
      microTokens: count()
        .default(8192)
        .describe('tokens that go through the model at once; the loss does not depend on it'),
      padded: z.boolean().default(false).describe('pad rows to one length, also where the model can do without'),
    })
    .prefault({}),
  budget: z
    .strictObject({
      steps: count().optional().describe('stop after this many steps'),
      tokens: count().optional().describe('stop after this many tokens'),
      epochs: z.number().positive().optional().describe('stop after this many passes over the data'),
      minutes: z
        .number()
        .positive()
        .optional()
        .describe('stop after this much time; such a run cannot be repeated to the bit'),
    })
    .prefault({}),
  optimizer: optimizerSchema.prefault({ type: 'adamw' }),
  learningRate: z
    .number()
    .positive()
    .optional()
    .describe("peak of the schedule; the optimizer's own default unless given"),
  schedule: scheduleSchema.prefault({ type: 'linear', warmupShare: 0.05 }),
  maxGradientNorm: z.number().positive().default(1).describe('longer gradients are scaled down to this norm'),
  average: averageSchema.optional().describe('keep an exponential moving average of the weights, and export it'),
  precision: z
    .enum(['float32', 'bfloat16'])
    .default('float32')
    .describe('of the weights that compute; the optimizer keeps float32'),
  recompute: z
    .union([z.enum(['none', 'all']), z.int().nonnegative()])
    .default('none')
    .describe(
      'layers whose activations are computed again in the backward pass instead of kept: less memory, more time',
    ),
  memoryBudget: count()
    .optional()
    .describe('bytes that tensors may take; micro-batches are halved, then layers recomputed, to keep to it'),
  evaluate: every('evaluate'),
  checkpoint: every('write a checkpoint').describe('besides the one at the end'),
  sample: every('show samples'),
  keep: z
    .strictObject({
      last: count().default(2).describe('newest checkpoints to keep'),
      every: count().optional().describe('keep also each whose step is a multiple of this'),
      best: z
        .string()
        .optional()
        .describe('keep also the one with the best value of this metric, and export it at the end'),
    })
    .prefault({}),
  patience: count().optional().describe('stop after this many evaluations in a row without a new best'),
  onNonFinite: z
    .enum(['skip', 'roll-back', 'stop'])
    .default('stop')
    .describe(
      'when a loss or gradient is not finite: pass over the batch, go back to the last checkpoint and pass over it, or stop',
    ),
  onSpike: z
    .enum(['note', 'skip'])
    .default('note')
    .describe('when the loss is far above its recent mean: record it, or pass over the batch too'),
})
export type TrainingSettings = z.output<typeof trainingSchema>
export type IntervalSettings = TrainingSettings['evaluate']
