// Names of people, places, products and more in noisy text (WNUT-17) with BERT-base: a tag for each word, on its first piece. Entities
// are rare and many of them new, so an F1 above 0.45 on the dev set is good. Set WNUT17 to the folder of the files and, without a
// network, BASE to a base:
//   WNUT17=emerging_entities_17 tunesmith finetune --recipe recipes/bert-wnut17.ts
// @source Derczynski et al. 2017, aclanthology.org/W17-4418; Devlin et al. 2019, arXiv:1810.04805, section 5.3 and appendix A.3
import { defineRun } from 'tunesmith'

const folder = process.env.WNUT17 ?? 'emerging_entities_17'

export default defineRun({
  command: 'finetune',
  base: process.env.BASE ?? 'google-bert/bert-base-cased',
  task: 'token-classification',
  dataset: 'wnut17',
  data: `${folder}/wnut17train.conll*`,
  validation: `${folder}/emerging.dev.conll*`,
  out: 'runs/bert-wnut17',
  maxLength: 128,
  batch: { sequences: 16 },
  budget: { epochs: 4 },
  learningRate: 5e-5,
  optimizer: { type: 'adamw', weightDecay: 0.01, eps: 1e-6 },
  schedule: { type: 'linear', warmupShare: 0.1 },
  checkpoint: { minutes: 10 },
})
