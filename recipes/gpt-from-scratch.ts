// A small GPT from raw text; one number, its depth, sets its size and how it is trained. Make its data first:
//   tunesmith corpus build --out runs/text/corpus --source "wikipedia:quickstart/data/*.bz2" books:quickstart/data/books
//   tunesmith tokenizer train --type bpe --vocab-size 8192 --corpus runs/text/corpus --out runs/text/bpe
//   tunesmith tokenizer encode --tokenizer runs/text/bpe --corpus runs/text/corpus --validation 0.1 --out runs/text/bpe-shards
// Then: tunesmith pretrain --recipe recipes/gpt-from-scratch.ts
import { defineRun } from 'tunesmith'

export default defineRun({
  // A width of 64 per layer, 20 tokens for each parameter of the layers; `tunesmith pretrain --help` states the whole rule.
  model: { type: 'gpt2', depth: 4 },
  objective: { type: 'causal-lm' },
  data: 'runs/text/bpe-shards',
  tokenizer: 'runs/text/bpe',
  out: 'runs/gpt-from-scratch',
  maxLength: 256,
  schedule: { type: 'cosine', warmupShare: 0.02, floor: 0.1 },
  evaluate: { minutes: 5 },
  sample: { minutes: 5 },
  checkpoint: { minutes: 10 },
  keep: { best: 'loss' },
})
