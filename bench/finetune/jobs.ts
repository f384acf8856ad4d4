// The fine-tuning runs that are timed beside PyTorch's: task, variant, size of a step. Both sides read the same files, which prepare.ts
// writes.
import type { applyAdapter } from '../../src/adapters/index.ts'

export interface Job {
  data: 'sst2' | 'squad'
  adapter: Parameters<typeof applyAdapter>[1]
  /** Examples of a step. */
  batch: number
  /** Most tokens of an example. */
  length: number
  learningRate: number
  /** Steps of a round, the first three of them to warm up. */
  steps: number
  /** How many times faster than PyTorch it is to be, as installed and with a tuned allocator. */
  wanted: { installed: number; tuned: number }
}

const sst2 = { data: 'sst2', batch: 32, length: 128, steps: 23 } as const
const squad = { data: 'squad', batch: 16, length: 384, steps: 6 } as const
const full = { adapter: { type: 'full' }, learningRate: 5e-5, wanted: { installed: 2.5, tuned: 2 } } as const
const light = { learningRate: 5e-4, wanted: { installed: 3, tuned: 3 } } as const
const lora = { adapter: { type: 'lora', targets: ['qProj', 'vProj'], rank: 8, alpha: 16 }, ...light } as const
const bottleneck = { adapter: { type: 'pfeiffer', size: 48, activation: 'relu' }, ...light } as const

export const jobs = {
  'sst2-full': { ...sst2, ...full },
  'sst2-lora': { ...sst2, ...lora },
  'sst2-adapter': { ...sst2, ...bottleneck },
  'squad-full': { ...squad, ...full },
  'squad-lora': { ...squad, ...lora },
} satisfies Record<string, unknown>
export type JobName = keyof typeof jobs

export const jobNamed = (name: string): Job => {
  if (!Object.hasOwn(jobs, name)) throw new Error(`Expected a job (${Object.keys(jobs).join(', ')}), got ${name}.`)
  return structuredClone(jobs[name as JobName]) as unknown as Job
}

/** Sizes at which a smoke run shows that everything works. */
export const smallened = (job: Job): Job => ({ ...job, batch: 4, length: 48, steps: 2 })
