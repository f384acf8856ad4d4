// The interface of heads: the part of a model above its body, which turns hidden states into logits; and the decoder
// inputs of heads of an encoder-decoder that read one text: the encoder's own, shifted right.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { type KeyRule, type Linear, Module } from '../../nn/index.ts'
import { arange, cat, full, type Tensor } from '../../tensor/index.ts'
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

/** Heads by name; the parameters of each are below its name. */
export class HeadSet extends Head {
  readonly #heads: Readonly<Record<string, Head>>

  constructor(heads: Readonly<Record<string, Head>>) {
    super()
    this.#heads = heads
  }

  // Names of users may be those of fields of a module, so that heads are no fields.
  override *children(): Iterable<[string, Module]> {
    yield* Object.entries(this.#heads)
  }

  /** @throws ConfigError: it is not known which head is meant */
  forward(): Tensor {
    throw new ConfigError(
      `Expected a model with one head to compute logits, got ${Object.keys(this.#heads).join(', ')}. Use the model of one of them.`,
    )
  }
}

/** Derives the inputs of the decoder, whose first token is a fixed one or the last one that is no padding. */
export interface DecoderShift {
  (inputs: BodyInputs): BodyInputs
  readonly first: { id: number } | { lastBefore: number }
}

/** The inputs with those of the decoder, unless they are given. @param first the first token of each row, int64 [B,1] */
const shifted = (inputs: BodyInputs, first: (inputs: BodyInputs) => Tensor): BodyInputs => {
  const { inputIds, decoderInputIds } = inputs
  if (decoderInputIds !== undefined) return inputs
  return { ...inputs, decoderInputIds: cat([first(inputs), inputIds.narrow(1, 0, inputIds.shape[1] - 1)], 1) }
}

/** Shifted right after the start token. */
export const shiftAfterStart = (startId: number): DecoderShift =>
  Object.assign(
    (inputs: BodyInputs) =>
      shifted(inputs, ({ inputIds: { shape, dtype, device } }) => full([shape[0], 1], startId, { dtype, device })),
    { first: { id: startId } },
  )

/** Shifted right after the last token that is no padding, which is the code of the language (mBART). */
export const shiftAfterLast = (padId: number): DecoderShift =>
  Object.assign(
    (inputs: BodyInputs) =>
      shifted(inputs, ({ inputIds }) => {
        const present = inputIds.ne(padId).to('int64')
        const places = arange(inputIds.shape[1], { dtype: 'int64', device: inputIds.device })
        return inputIds.gather(1, places.mul(present).argmax(1, { keepdim: true }))
      }),
    { first: { lastBefore: padId } },
  )
