// A chat model that learns from single answers that were rated good or bad (KTO): no pairs are needed, and the two kinds may be unequal.
// Set RATINGS to a file of conversations with a label:
//   RATINGS=kto_mix.json tunesmith align --recipe recipes/kto-ratings.ts
// @source Ethayarajh et al. 2024, arXiv:2402.01306
import { defineRun } from 'tunesmith'

export default defineRun({
  command: 'align',
  objective: 'kto',
  // With twice as many bad answers as good ones, set `desirableWeight` to 2.
  settings: { beta: 0.1 },
  base: process.env.BASE ?? 'HuggingFaceTB/SmolLM2-135M-Instruct',
  data: process.env.RATINGS ?? 'ratings.jsonl',
  columns: { onFault: 'skip' },
  variant: 'lora',
  adapter: { targets: 'all-linear', rank: 16, alpha: 32 },
  out: 'runs/kto-ratings',
  maxLength: 1024,
  // The baseline of the rewards is estimated over the batch, which should therefore be large.
  batch: { sequences: 32, microTokens: 4096 },
  budget: { epochs: 2 },
  learningRate: 2e-5,
  schedule: { type: 'cosine', warmupShare: 0.1 },
  checkpoint: { minutes: 10 },
})
