// Summaries of conversations (DialogSum) by LoRA on a small chat model, with ROUGE before and after. Set DIALOGSUM to the data and, without a
// network, BASE to a base. An encoder-decoder such as T5 is a good base too: it reads `summarize: ` and the text.
//   DIALOGSUM=dialogsum.dev.jsonl tunesmith finetune --recipe recipes/summarize-dialogues.ts
// Conversations of doctors and patients work the same way: dataset mts-dialog. samples.json has the answers before and after training.
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
  // The number of validation conversations to summarise during training, to choose the best checkpoint, and at the end.
  answers: { duringTraining: 24, atEnd: 100, samples: 20 },
})
