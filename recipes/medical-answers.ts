// Answers to questions about health (MedQuAD, 47,457 pairs from the National Institutes of Health) by a small language model. They sound
// right and may be wrong: this is a lesson in fine-tuning, not advice to anyone. Set MEDQUAD to the archive or the folder of XML files:
//   MEDQUAD=MedQuAD tunesmith finetune --recipe recipes/medical-answers.ts
// PubMedQA's long answers to a text work the same way: dataset pubmedqa. GSM8K is scored by its numbers: dataset gsm8k.
// @source Ben Abacha and Demner-Fushman 2019, arXiv:1901.08079
import { defineRun } from 'tunesmith'

export default defineRun({
  command: 'finetune',
  base: process.env.BASE ?? 'HuggingFaceTB/SmolLM2-135M-Instruct',
  task: 'generative-qa',
  dataset: 'medquad',
  // Answers of a thousand words and more are truncated, and trained without an end token.
  settings: { tooLong: 'truncate', maxNewTokens: 192, system: 'You answer questions about health briefly.' },
  data: process.env.MEDQUAD ?? 'MedQuAD',
  variant: 'lora',
  adapter: { targets: 'all-linear', rank: 16, alpha: 32, dropout: 0.05 },
  out: 'runs/medical-answers',
  maxLength: 384,
  batch: { sequences: 16, microTokens: 4096 },
  budget: { epochs: 1 },
  learningRate: 2e-4,
  schedule: { type: 'cosine', warmupShare: 0.03 },
  answers: { duringTraining: 0, atEnd: 100, samples: 20 },
  keep: { best: 'perplexity' },
  checkpoint: { minutes: 10 },
})
