// A chat model that prefers better answers (DPO): a LoRA whose reference is the base with the adapter off, in the memory of one model.
// The data are pairs of a chosen and a rejected answer in any usual form; set PREFERENCES to the file:
//   PREFERENCES=dpo_mix.json tunesmith align --recipe recipes/dpo-chat.ts
// Then: tunesmith chat --model runs/dpo-chat
// @source Rafailov et al. 2023, arXiv:2305.18290
import { defineRun } from 'tunesmith'

export default defineRun({
  command: 'align',
  objective: 'dpo',
  settings: { beta: 0.1 },
  base: process.env.BASE ?? 'HuggingFaceTB/SmolLM2-135M-Instruct',
  data: process.env.PREFERENCES ?? 'preferences.jsonl',
  columns: { messages: ['conversations', 'messages', 'prompt'], onFault: 'skip' },
  variant: 'lora',
  adapter: { targets: 'all-linear', rank: 16, alpha: 32 },
  out: 'runs/dpo-chat',
  maxLength: 1024,
  batch: { sequences: 16, microTokens: 4096 },
  budget: { epochs: 1 },
  learningRate: 5e-5,
  schedule: { type: 'cosine', warmupShare: 0.1 },
  checkpoint: { minutes: 10 },
})
