// What a head is: the part of a model above its body, which turns hidden states into what is predicted. Knows no architecture and
// no head by name.
import { z } from 'zod'
import type { KeyRule, Linear } from '../../nn/index.ts'
import { Module } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { Body, BodyFacts, BodyInputs, BodyOutputs } from '../model.ts'

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
export type HeadType = (typeof headTypes)[number]

/** What a user may say of a head; a head reads what concerns it. */
export const headOptionsSchema = z.strictObject({
  labels: z
    .array(z.string())
    .min(1)
    .refine((labels) => new Set(labels).size === labels.length, 'labels that differ')
    .default(['LABEL_0', 'LABEL_1'])
    .describe('names of the classes, in the order of the logits'),
  problemType: z
    .enum(['single-label', 'multi-label', 'regression'])
    .default('single-label')
    .describe('one class of many, several at once, or numbers'),
  dropout: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe('dropout inside the head; the architecture has its own default'),
  pooling: z
    .enum(['first', 'last', 'mean'])
    .optional()
    .describe('which vector stands for a row, where the head lets one choose'),
  normalize: z.boolean().default(false).describe('embeddings of length one'),
  pairs: z
    .enum(['together', 'separate'])
    .optional()
    .describe('two texts of a record: together in one sequence, or separate'),
  maxTokens: z.int().positive().optional().describe('longest text that embeddings are made for; the rest is cut off'),
})
export type HeadOptions = z.output<typeof headOptionsSchema>

export abstract class Head extends Module {
  /** True where of each row only the first token's vector is read, so that the last layer need not make the others. */
  get readsFirstsOnly(): boolean {
    return false
  }

  /** The layer whose outputs are the scores, where the head ends with one. */
  get scores(): Linear | undefined {
    return undefined
  }

  /** The batch as the body takes it. */
  bodyInputs(inputs: BodyInputs): BodyInputs {
    return inputs
  }

  /** Hidden states -> logits; `inputs` is the batch as the caller gave it. */
  abstract forward(outputs: BodyOutputs, inputs: BodyInputs): Tensor
}

/** How one architecture wears one head: what transformers calls it, and how it is shaped. */
export interface HeadEntry {
  /** Class in transformers that opens the files; undefined where it has none. */
  hfClass?: string
  /** Names of the head's parameters; ours begin with `head.`. */
  keys: readonly KeyRule[]
  /** What stands before the body's keys, where it differs from the architecture's usual prefix. */
  prefix?: string
  /** Only the encoder of an encoder-decoder is under this head. */
  encoderOnly?: boolean
  /** The class is the body alone: what files say of sentence vectors counts, and a pooler in them is kept. */
  bare?: boolean
  /** Changes the batch before the body sees it, such as a decoder's inputs made from the encoder's. */
  prepare?(inputs: BodyInputs): BodyInputs
  /** Labels that config.json names, where the head has any. */
  labels?(options: HeadOptions): readonly string[]
  /** Whether config.json says what kind of problem it is. */
  statesProblem?: boolean
  /** Its files are another head's: never guessed from the class, only taken when asked for. */
  onRequest?: boolean
  build(body: Body, facts: BodyFacts, options: HeadOptions): Head
}

export type HeadEntries = Partial<Record<HeadType, HeadEntry>>
