// The alignment runs that are timed beside TRL's, and what both sides of a job are made of. LoRA of rank 16 in all linear layers.
import { type AppliedAdapter, applyAdapter } from '../../src/adapters/index.ts'
import type { Model } from '../../src/models/index.ts'
import { Generator, noGrad } from '../../src/tensor/index.ts'

export interface Job {
  /** What a step learns from. */
  data: 'pairs' | 'prompts'
  head: 'causal-lm' | 'reward'
  /** Of `tunesmith align`; undefined for a reward model. */
  objective?: string
  settings: object
  /** Pairs of a step, or prompts. */
  batch: number
  /** Maximum tokens of a prompt with its answer, or of a prompt. */
  length: number
  /** Answers to each prompt, and tokens of each. */
  answers: number
  newTokens: number
  learningRate: number
  /** Steps of a round, the first of them to warm up. */
  steps: number
  /** How many times faster than TRL it is to be. */
  wanted: number
}

const pairs = { data: 'pairs', batch: 4, length: 512, answers: 2, newTokens: 0, steps: 4, wanted: 3 } as const
const prompts = { data: 'prompts', batch: 2, length: 256, answers: 4, newTokens: 32, steps: 5, wanted: 5 } as const

export const jobs = {
  reward: { ...pairs, head: 'reward', settings: {}, learningRate: 1e-4 },
  dpo: { ...pairs, head: 'causal-lm', objective: 'dpo', settings: { beta: 0.1 }, learningRate: 5e-5 },
  grpo: { ...prompts, head: 'causal-lm', objective: 'grpo', settings: { beta: 0.04 }, learningRate: 1e-4 },
  rloo: { ...prompts, head: 'causal-lm', objective: 'rloo', settings: { beta: 0.04 }, learningRate: 1e-4 },
} satisfies Record<string, Job>
type JobName = keyof typeof jobs

export const jobNamed = (name: string): Job => {
  if (!Object.hasOwn(jobs, name)) throw new Error(`Expected a job (${Object.keys(jobs).join(', ')}), got ${name}.`)
  return structuredClone<Job>(jobs[name as JobName])
}

/** The job with other sizes, where they are given. */
export const sized = (job: Job, { batch, length }: { batch?: string; length?: string }): Job => ({
  ...job,
  ...(batch === undefined ? {} : { batch: Number(batch) }),
  ...(length === undefined ? {} : { length: Number(length) }),
})

/** Sizes at which a smoke run shows that everything works. */
export const smallened = (job: Job): Job => ({
  ...job,
  batch: 2,
  length: 64,
  newTokens: Math.min(4, job.newTokens),
  steps: 2,
})

/** The adapter that both sides start from. Its values are drawn: a fresh one changes nothing, and would hide a difference. */
export const startingAdapter = (model: Model): AppliedAdapter => {
  const applied = applyAdapter(model, { type: 'lora', targets: 'all-linear', rank: 16, alpha: 32 }, { seed: 1 })
  const generator = new Generator(2)
  noGrad(() => {
    for (const [path, tensor] of applied.trainable)
      if (path.startsWith('body.')) tensor.detach().normal_(0, 0.01, { generator })
  })
  return applied
}
