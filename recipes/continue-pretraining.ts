// Adapts a general model to a domain: pretraining continues on text of the domain, at a tenth of the learning rate. Here the base is
// what bert-from-scratch made, and the text is medical: the conversations of doctors and patients in MTS-Dialog (abachaa/MTS-Dialog).
//   tunesmith corpus build --out runs/medical/corpus --source "csv,textField=dialogue:MTS-Dialog-TrainingSet.csv"
//   tunesmith tokenizer encode --tokenizer runs/text/wordpiece --corpus runs/medical/corpus --validation 0.1 --out runs/medical/shards
// Then: tunesmith pretrain --recipe recipes/continue-pretraining.ts
// The tokenizer is the base's. A share of the general text prevents the model from forgetting it.
import { defineRun } from 'tunesmith'

export default defineRun({
  base: 'runs/bert-from-scratch',
  objective: { type: 'masked-lm' },
  data: ['runs/medical/shards', 'runs/text/wordpiece-shards'],
  dataWeights: [0.9, 0.1],
  tokenizer: 'runs/text/wordpiece',
  out: 'runs/medical-bert',
  maxLength: 128,
  batch: { sequences: 64 },
  budget: { steps: 1000 },
  learningRate: 1e-4,
  schedule: { type: 'linear', warmupShare: 0.1 },
  evaluate: { steps: 100 },
  sample: { steps: 250 },
  checkpoint: { minutes: 10 },
  keep: { best: 'loss' },
})
