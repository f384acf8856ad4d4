// A character-level GPT on Shakespeare's plays, as nanoGPT trains it on a CPU: a validation loss of about 1.88 after 2,000 steps.
// The text is karpathy/char-rnn's data/tinyshakespeare/input.txt; set SHAKESPEARE to its path:
//   SHAKESPEARE=input.txt tunesmith pretrain --recipe recipes/char-shakespeare.ts
// @source https://github.com/karpathy/nanoGPT (README, "i only have a macbook")
import { readFile } from 'node:fs/promises'
import { defineRun, encodeShards, loadTokenizer, saveTokenizer } from 'tunesmith'

const folder = process.env.SHAKESPEARE_OUT ?? 'runs/shakespeare'
const text = await readFile(process.env.SHAKESPEARE ?? 'input.txt', 'utf8')

// Every character is a token; the vocabulary is the sorted characters.
const characters = [...new Set(text)].sort()
const tokenizer = await loadTokenizer({
  version: '1.0',
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: { type: 'Split', pattern: { Regex: '[\\s\\S]' }, behavior: 'Isolated', invert: false },
  post_processor: null,
  decoder: { type: 'Fuse' },
  model: {
    type: 'WordLevel',
    vocab: Object.fromEntries([...characters, '<unk>'].map((character, id) => [character, id])),
    unk_token: '<unk>',
  },
})
await saveTokenizer(tokenizer, `${folder}/tokenizer`)

// The first nine tenths are training data, the rest is validation data: with this seed the split by hash gives just that.
const cut = Math.floor(text.length * 0.9)
const documents = [text.slice(0, cut), text.slice(cut)]
const seed = process.env.SHAKESPEARE_SEED ?? '2'
await encodeShards(documents, `${folder}/tokenizer`, `${folder}/shards`, { validation: 0.1, seed, end: '' })

export default defineRun({
  model: {
    type: 'gpt2',
    config: {
      numLayers: 4,
      numHeads: 4,
      hiddenSize: 128,
      maxPositions: 64,
      activation: 'gelu',
      embeddingDropout: 0,
      hiddenDropout: 0,
      attentionDropout: 0,
    },
  },
  objective: { type: 'causal-lm' },
  data: `${folder}/shards`,
  tokenizer: `${folder}/tokenizer`,
  out: `${folder}/run`,
  batch: { sequences: 12 },
  budget: { steps: 2000 },
  learningRate: 1e-3,
  optimizer: { type: 'adamw', beta2: 0.99, weightDecay: 0.1 },
  schedule: { type: 'cosine', warmupSteps: 100, floor: 0.1 },
  evaluate: { steps: 250 },
  // The whole validation split.
  validationExamples: 2000,
  sample: { steps: 500 },
  prompts: ['ROMEO:\n'],
})
