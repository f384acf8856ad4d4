// Sentiment of movie reviews (SST-2) with BERT-base, by the settings of its authors: 67,349 phrases, three epochs, 6,315 steps. Published
// are 92 to 93.5 % on the dev set. Set SST2 to the folder of GLUE's files and, without a network, BASE to a base:
//   SST2=glue/SST-2 tunesmith finetune --recipe recipes/bert-sst2.ts
// @source Devlin et al. 2019, arXiv:1810.04805, section 4.1 and appendix A.3
import { defineRun } from 'tunesmith'

const folder = process.env.SST2 ?? 'SST-2'

export default defineRun({
  command: 'finetune',
  base: process.env.BASE ?? 'google-bert/bert-base-uncased',
  task: 'sequence-classification',
  dataset: 'sst2',
  // The star matches compressed files too.
  data: `${folder}/train.tsv*`,
  validation: `${folder}/dev.tsv*`,
  out: 'runs/bert-sst2',
  maxLength: 128,
  batch: { sequences: 32 },
  budget: { epochs: 3 },
  learningRate: 2e-5,
  optimizer: { type: 'adamw', weightDecay: 0.01, eps: 1e-6 },
  schedule: { type: 'linear', warmupShare: 0.1 },
  checkpoint: { minutes: 10 },
})
