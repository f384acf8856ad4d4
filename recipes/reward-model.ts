// A reward model: it learns which of two answers people prefer, and scores answers for reinforcement learning, best-of-n and `open().reward`.
// Anthropic's hh-rlhf has whole dialogues, of which the last answers differ; set HH_RLHF to its file or folder:
//   HH_RLHF=hh-rlhf/harmless-base/train.jsonl tunesmith finetune --recipe recipes/reward-model.ts
// @source Bai et al. 2022, arXiv:2204.05862; Stiennon et al. 2020, arXiv:2009.01325
import { defineRun } from 'tunesmith'

export default defineRun({
  command: 'finetune',
  base: process.env.BASE ?? 'HuggingFaceTB/SmolLM2-135M',
  task: 'reward',
  dataset: 'hh-rlhf',
  // Centring keeps scores around 0, so that they can be added to other rewards.
  settings: { centering: 0.01, onFault: 'skip' },
  data: process.env.HH_RLHF ?? 'hh-rlhf',
  variant: 'lora',
  adapter: { targets: 'all-linear', rank: 16, alpha: 32 },
  out: 'runs/reward-model',
  maxLength: 512,
  batch: { sequences: 16, microTokens: 4096 },
  // A second epoch only teaches the training pairs by heart.
  budget: { epochs: 1 },
  learningRate: 1e-4,
  schedule: { type: 'cosine', warmupShare: 0.05 },
  checkpoint: { minutes: 10 },
})
