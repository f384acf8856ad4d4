// The models that are trained beside Hugging Face's Trainer: sizes, batches and the rows that they learn from. Both sides read
// the same files, which prepare.ts writes.
import type { ObjectiveType } from '../../src/objectives/index.ts'

export interface Job {
  type: 'gpt2' | 'bert'
  config: Record<string, unknown>
  objective: ObjectiveType
  /** Rows of a step. */
  batch: number
  /** Most tokens of a row. */
  length: number
  learningRate: number
  tokenizer: 'gpt2' | 'bert' | 'trained'
  /** blocks: rows of `length` tokens, documents joined. paragraphs: one paragraph a row, cut at `length`. */
  rows: 'blocks' | 'paragraphs'
  /** Steps of a round, the first of them to warm up. */
  steps: number
  /** Whether torch.compile takes part. */
  compiled: boolean
  /** How many times faster than Trainer it is to be, as installed and with a tuned allocator. */
  wanted: { installed: number; tuned: number; compiled?: number }
}

const noDropout = { embeddingDropout: 0, hiddenDropout: 0, attentionDropout: 0 }
const causal = { type: 'gpt2', objective: 'causal-lm', rows: 'blocks', learningRate: 3e-4, compiled: true } as const
const masked = {
  type: 'bert',
  objective: 'masked-lm',
  rows: 'paragraphs',
  learningRate: 1e-4,
  compiled: false,
} as const

export const jobs = {
  'gpt2-small': {
    ...causal,
    config: { maxPositions: 512, ...noDropout },
    batch: 4,
    length: 512,
    tokenizer: 'gpt2',
    steps: 2,
    wanted: { installed: 1.6, tuned: 1.25, compiled: 1.2 },
  },
  'gpt-10m': {
    ...causal,
    config: { vocabSize: 8192, hiddenSize: 320, numLayers: 6, numHeads: 5, maxPositions: 256, ...noDropout },
    batch: 16,
    length: 256,
    tokenizer: 'trained',
    steps: 5,
    wanted: { installed: 2, tuned: 1.3, compiled: 1.2 },
  },
  'bert-base': {
    ...masked,
    config: {},
    batch: 16,
    length: 128,
    tokenizer: 'bert',
    steps: 3,
    wanted: { installed: 1.8, tuned: 1.5 },
  },
  'bert-mini': {
    ...masked,
    config: { hiddenSize: 256, numLayers: 4, numHeads: 4, intermediateSize: 1024 },
    batch: 64,
    length: 128,
    tokenizer: 'bert',
    steps: 3,
    wanted: { installed: 4, tuned: 2.5 },
  },
} satisfies Record<string, Job>
export type JobName = keyof typeof jobs

export const jobNamed = (name: string): Job => {
  if (!Object.hasOwn(jobs, name)) throw new Error(`Expected a model (${Object.keys(jobs).join(', ')}), got ${name}.`)
  return jobs[name as JobName]
}

/** Sizes at which a smoke run shows that everything works. */
export const smallened = (job: Job): Job => ({
  ...job,
  config: {
    ...job.config,
    ...{ vocabSize: 1024, hiddenSize: 64, numLayers: 2, numHeads: 2, intermediateSize: 128, maxPositions: 64 },
  },
  tokenizer: 'trained',
  batch: 4,
  length: 48,
  steps: 2,
})
