// A small BERT (11 million parameters) from raw text. Make its data first, for instance from the text of the quickstart:
//   tunesmith corpus build --out runs/text/corpus --source "wikipedia:quickstart/data/*.bz2" books:quickstart/data/books
//   tunesmith tokenizer train --type wordpiece --vocab-size 8192 --corpus runs/text/corpus --out runs/text/wordpiece
//   tunesmith tokenizer encode --tokenizer runs/text/wordpiece --corpus runs/text/corpus --validation 0.1 --out runs/text/wordpiece-shards
// Then: tunesmith pretrain --recipe recipes/bert-from-scratch.ts
import { defineRun } from 'tunesmith'

export default defineRun({
  model: { type: 'bert', preset: 'mini' },
  objective: { type: 'masked-lm', wholeWords: true },
  data: 'runs/text/wordpiece-shards',
  tokenizer: 'runs/text/wordpiece',
  out: 'runs/bert-from-scratch',
  maxLength: 128,
  batch: { sequences: 64 },
  budget: { epochs: 40 },
  learningRate: 1e-3,
  schedule: { type: 'linear', warmupShare: 0.06 },
  evaluate: { minutes: 5 },
  sample: { minutes: 5 },
  checkpoint: { minutes: 10 },
  keep: { best: 'loss' },
})
