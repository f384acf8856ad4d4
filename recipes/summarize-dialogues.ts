// Summaries of conversations (DialogSum) by LoRA on a small chat model, with ROUGE before and after. Say where the data are, and, without
// a network, where a base is; an encoder with a decoder, such as a T5, is as good a base: it reads `summarize: ` and the text.
//   DIALOGSUM=dialogsum.dev.jsonl tunesmith finetune --recipe recipes/summarize-dialogues.ts
// Conversations of doctors and patients go the same way: dataset mts-dialog. samples.json holds answers before and after side by side.
// @source Chen et al. 2021, arXiv:2105.06762; Hu et al. 2021, arXiv:2106.09685
import { defineRun } from 'tunesmith'

export default defineRun({
  command: 'finetune',
  base: process.env.BASE ?? 'HuggingFaceTB/SmolLM2-135M-Instruct',
  task: 'summarization',
  dataset: 'dialogsum',
  settings: { maxNewTokens: 96 },
  data: process.env.DIALOGSUM ?? 'dialogsum.train.jsonl',
  variant: 'lora',
  adapter: { targets: 'all-linear', rank: 16, alpha: 32, dropout: 0.05 },
  out: 'runs/summarize-dialogues',
  maxLength: 768,
  batch: { sequences: 8 },
  budget: { epochs: 3 },
  learningRate: 2e-4,
  schedule: { type: 'cosine', warmupShare: 0.05 },
  // Of the held-out conversations, so many are summarised while it learns, to choose the best checkpoint by, and at the end.
  answers: { duringTraining: 24, atEnd: 100, samples: 20 },
})
