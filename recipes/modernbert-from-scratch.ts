// A small ModernBERT (6.6 million parameters) from books, Wikipedia and web pages. Rotary positions, Muon and short steps leave the
// plateau of word frequencies early: see docs/results/small-encoder.md for what it costs and brings. Make its data first, for instance:
//   tunesmith corpus build --out runs/text/corpus --source "wikipedia:*.xml.bz2" books:books jsonl:c4.jsonl.gz --decontaminate dev.jsonl
//   tunesmith tokenizer train --type wordpiece --vocab-size 10000 --corpus runs/text/corpus --out runs/text/wordpiece
//   tunesmith tokenizer encode --tokenizer runs/text/wordpiece --corpus runs/text/corpus --validation 0.02 --out runs/text/wordpiece-shards
// Then: tunesmith pretrain --recipe recipes/modernbert-from-scratch.ts
// @source arXiv:2412.13663 (ModernBERT); arXiv:2202.08005 (more than 15 % masked); https://kellerjordan.github.io/posts/muon/
import { defineRun } from 'tunesmith'

export default defineRun({
  model: {
    type: 'modernbert',
    config: {
      numLayers: 6,
      hiddenSize: 256,
      numHeads: 4,
      intermediateSize: 512,
      maxPositions: 512,
      // The first token is never trained by masks, and a specialist has few examples to train it with.
      classifierPooling: 'mean',
    },
  },
  objective: { type: 'masked-lm', maskShare: 0.3 },
  data: 'runs/text/wordpiece-shards',
  tokenizer: 'runs/text/wordpiece',
  out: 'runs/modernbert-from-scratch',
  maxLength: 256,
  batch: { sequences: 16 },
  budget: { steps: 7000 },
  optimizer: { type: 'muon', newtonSchulzDtype: 'bfloat16' },
  learningRate: 3e-3,
  schedule: { type: 'linear', warmupSteps: 100 },
  precision: 'bfloat16',
  validationExamples: 128,
  evaluate: { steps: 500 },
  checkpoint: { minutes: 5 },
})
