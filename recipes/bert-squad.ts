// Answers to questions about a paragraph (SQuAD 1.1) with BERT-base, by the settings that its authors publish for one machine: two
// epochs, windows of 384 tokens that share 128. Published are an exact match of 81 and an F1 of 88.4. Set SQUAD to the folder of its files
// and, without a network, BASE to a base:
//   SQUAD=squad tunesmith finetune --recipe recipes/bert-squad.ts
// @source https://github.com/google-research/bert, "SQuAD 1.1"; the paper trains with 32 windows a step (arXiv:1810.04805, section 4.2)
import { defineRun } from 'tunesmith'

const folder = process.env.SQUAD ?? 'squad'

export default defineRun({
  command: 'finetune',
  base: process.env.BASE ?? 'google-bert/bert-base-uncased',
  task: 'extractive-qa',
  dataset: 'squad',
  settings: { stride: 128, maxQuestionTokens: 64, maxAnswerTokens: 30 },
  data: `${folder}/train-v1.1.json*`,
  validation: `${folder}/dev-v1.1.json*`,
  out: 'runs/bert-squad',
  maxLength: 384,
  batch: { sequences: 12 },
  budget: { epochs: 2 },
  learningRate: 3e-5,
  optimizer: { type: 'adamw', weightDecay: 0.01, eps: 1e-6 },
  schedule: { type: 'linear', warmupShare: 0.1 },
  checkpoint: { minutes: 10 },
})
