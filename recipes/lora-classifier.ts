// A classifier of your own texts by LoRA, on any base: a folder, a run, a Hub id, encoder or decoder. The data are JSON lines, CSV,
// TSV or Parquet with the columns `text` and `label`; a tenth is validation data.
//   BASE=runs/bert-from-scratch DATA=reviews.csv tunesmith finetune --recipe recipes/lora-classifier.ts
// The result is a PEFT adapter of a few hundred kilobytes.
// @source Hu et al. 2021, arXiv:2106.09685; all linear layers and a learning rate tenfold that of full fine-tuning as in arXiv:2305.14314
import { defineRun } from 'tunesmith'

export default defineRun({
  command: 'finetune',
  base: process.env.BASE ?? 'runs/bert-from-scratch',
  task: 'sequence-classification',
  settings: { text: 'text', label: 'label' },
  data: process.env.DATA ?? 'reviews.csv',
  variant: 'lora',
  adapter: { targets: 'all-linear', rank: 8, alpha: 16, dropout: 0.05 },
  out: 'runs/lora-classifier',
  maxLength: 256,
  batch: { sequences: 32 },
  budget: { epochs: 5 },
  learningRate: 5e-4,
  schedule: { type: 'linear', warmupShare: 0.06 },
  // Stops after three evaluations in a row without an improvement.
  patience: 3,
})
