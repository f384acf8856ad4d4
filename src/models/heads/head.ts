// The interface of heads: the part of a model above its body, which turns hidden states into logits.
import { z } from 'zod'
import type { KeyRule, Linear } from '../../nn/index.ts'
import { Module } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { DecoderShift } from '../decoder-inputs.ts'
import type { Body, BodyFacts, BodyInputs, BodyOutputs } from '../model.ts'

/** Names of all heads. */
export const headTypes = [
  'causal-lm',
  'masked-lm',
  'seq2seq-lm',
  'sentence-pretraining',
  'replaced-token-detection',
  'sequence-classification',
  'token-classification',
  'question-answering',
  'multiple-choice',
  'embedding',
  'reward',
] as const
/** Name of a head. */
export type HeadType = (typeof headTypes)[number]

/** Settings of heads; each head uses some of them. */
export const headOptionsSchema = z.strictObject({
  labels: z
    .array(z.string())
    .min(1)
    .refine((labels) => new Set(labels).size === labels.length, 'distinct labels')
    .default(['LABEL_0', 'LABEL_1'])
    .describe('names of the classes, in the order of the logits'),
  problemType: z
    .enum(['single-label', 'multi-label', 'regression'])
    .default('single-label')
    .describe('one label per text, several labels, or numbers (default for one label: regression)'),
  dropout: z.number().min(0).max(1).optional().describe('dropout of the head (default: that of the architecture)'),
  pooling: z
    .enum(['first', 'last', 'mean'])
    .optional()
    .describe('pooling of a row to one vector, in heads of embeddings'),
  normalize: z.boolean().default(false).describe('normalise embeddings to norm 1'),
  pairs: z.enum(['together', 'separate']).optional().describe('encoding of text pairs: in one sequence, or separately'),
  maxTokens: z
    .int()
    .positive()
    .optional()
    .describe('maximum tokens per text of embeddings; longer texts are truncated'),
  rewardScale: z
    .strictObject({
      mean: z.number().describe('mean score of good answers'),
      deviation: z.number().positive().describe('standard deviation of their scores'),
    })
    .optional()
    .describe('scale of a reward model: rewards are scores minus the mean, divided by the deviation'),
})
/** Checked settings of a head. */
export type HeadOptions = z.output<typeof headOptionsSchema>

/** A head. */
export abstract class Head extends Module {
  /** Whether the head uses only the first token of each row, so that the last layer needs to compute only these. */
  get readsFirstsOnly(): boolean {
    return false
  }

  /** The output layer, where the head ends with one. */
  get scores(): Linear | undefined {
    return undefined
  }

  /** The batch as it is passed to the body. */
  bodyInputs(inputs: BodyInputs): BodyInputs {
    return inputs
  }

  /** Hidden states -> logits; `inputs` is the batch as the caller gave it. */
  abstract forward(outputs: BodyOutputs, inputs: BodyInputs): Tensor
}

/** A head of an architecture: its class in transformers, the names of its parameters, and how it is built. */
export interface HeadEntry {
  /** Class in transformers, where there is one. */
  hfClass?: string
  /** Names of the head's parameters in checkpoints; ours begin with `head.`. */
  keys: readonly KeyRule[]
  /** Prefix of the body's keys (default: that of the architecture). */
  prefix?: string
  /** The head is over the encoder of an encoder-decoder only. */
  encoderOnly?: boolean
  /** The class is the bare body: settings of sentence embeddings apply, and a pooler in the checkpoint is kept. */
  bare?: boolean
  /** Derives the decoder's inputs from the batch. */
  prepare?: DecoderShift
  /** Labels in config.json, where the head has labels. */
  labels?(options: HeadOptions): readonly string[]
  /** Whether config.json has `problem_type`. */
  statesProblem?: boolean
  /** Shares its class with another head, so it is used only when it is requested by name or by its only label. */
  onRequest?: { label: string }
  build(body: Body, facts: BodyFacts, options: HeadOptions): Head
}

/** Heads of an architecture by name. */
export type HeadEntries = Partial<Record<HeadType, HeadEntry>>
